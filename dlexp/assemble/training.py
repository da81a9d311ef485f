"""Experiment -> what training changes, what it reads and how it steps, at its beginning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import torch
from torch import nn

from dlexp.assemble.experiment import Experiment
from dlexp.config.nodes import build
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.loaders import TrainBatches
from dlexp.engine.best_epoch import BestSoFar
from dlexp.engine.recovery import NonfinitePolicy
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules
from dlexp.errors import ConfigError
from dlexp.kinds import describe_kind
from dlexp.networks.layers import hidden_matrices
from dlexp.optim.parameter_groups import parameter_groups, shares
from dlexp.optim.schedules.base import Schedule
from dlexp.optim.schedules.swa import Held
from dlexp.regularization.constraints import MaxNorm
from dlexp.regularization.gradient_noise import GradientNoise
from dlexp.regularization.mixing import ChangedBatches, Changes
from dlexp.regularization.penalties import Penalty
from dlexp.regularization.weight_averaging import Ema, Swa, WeightAverage
from dlexp.specs import ClassSpec, ImageSpec, TableSpec, ValueSpec
from dlexp.tasks.base import Task
from dlexp.types import TrainingData


@dataclass(frozen=True)
class Started:
    """What training changes, what it reads and how it steps, for an experiment at its beginning.

    unchanged  the batches without what regularization.* does to them
    """

    state: TrainState
    batches: TrainingData
    unchanged: TrainingData
    rules: StepRules
    steps_per_epoch: int


def start(experiment: Experiment) -> Started:
    """Optimizers, schedules and batches. Raises ConfigError for settings that they refuse."""
    config, task, networks = experiment.config, experiment.task, experiment.networks
    train = TrainBatches(experiment.bundle, config.batch_size, config.seed, experiment.device)
    check_monitor(config, experiment.bundle, task)
    _refuse_batches_of_one(experiment)
    steps_per_epoch = ceil(len(train) / config.trainer.accumulate)
    length = {"steps_per_epoch": steps_per_epoch, "total_steps": steps_per_epoch * config.trainer.epochs}
    optimizers: dict[str, torch.optim.Optimizer] = {}
    schedules: dict[str, Schedule] = {}
    given = shares(dict(networks.items()), config.layer_decay, config.optim_groups)
    rate = config.optim.arguments.get("lr")
    for phase, names in task.phases.items():
        updated = [networks[name] for name in names]
        parts = {
            "params": parameter_groups(updated, config.decay_norms_and_biases, given, rate),
            "hidden_matrices": hidden_matrices(updated),
        }
        optimizer = build(config.optim, parts, experiment.trusted)
        if getattr(optimizer, "needs_closure", False):
            _refuse_beside_closure(experiment, searches=getattr(optimizer, "searches", False))
        runtime = {"optimizer": optimizer, "maximize": config.maximize, **length}
        optimizers[phase], schedules[phase] = optimizer, build(config.scheduler, runtime, experiment.trusted)
        schedules[phase] = _held(experiment, schedules[phase], optimizer, steps_per_epoch)
    _refuse_two_averages(experiment, optimizers)
    stopping = config.regularization.early_stopping
    best = BestSoFar(config.maximize, stopping.min_delta, stopping.patience)
    average = _average(experiment)
    scaler = experiment.precision.scaler()
    state = TrainState(networks, optimizers, schedules, scaler, best, average, experiment.freezing)
    return Started(state, _changed(experiment, train), train, _rules(experiment), steps_per_epoch)


def check_monitor(config: RunConfig, bundle: DataBundle, task: Task) -> None:
    """Raise ConfigError where the deciding metric can have no value on this validation split."""
    if not isinstance(bundle.spec.targets, ClassSpec | ValueSpec):
        return
    reason = task.undefined(config.monitor.removeprefix("val/"), tensor_of(bundle.splits["val"].targets))
    if reason:
        key = "trainer.monitor" if config.trainer.monitor else "task.monitor"
        rule = f"has no value on this validation split: {reason}"
        remedy = "set trainer.monitor=val/loss, or validate on samples of every kind: where the split is drawn here, "
        remedy += "data.split_seed and data.val_fraction draw another one"
        raise ConfigError.one(key, config.monitor, rule, remedy)


def _rules(experiment: Experiment) -> StepRules:
    config, on_cpu = experiment.config, experiment.device.type == "cpu"
    given = config.regularization
    return StepRules(
        experiment.precision,
        Penalty(given.l1, given.l2),
        config.trainer.clip_norm,
        config.seed,
        check_at_once=on_cpu,
        noise=GradientNoise(given.gradient_noise) if given.gradient_noise else None,
        max_norm=None if given.max_norm is None else MaxNorm(given.max_norm),
        gradient_norm=config.trainer.gradient_norm,
    )


def _average(experiment: Experiment) -> WeightAverage:
    given, networks = experiment.config.regularization, experiment.networks
    if given.ema.decay is not None:
        return Ema(networks, given.ema.decay)
    return WeightAverage() if given.swa.start_epoch is None else Swa(networks, given.swa.start_epoch)


def _changed(experiment: Experiment, train: TrainingData) -> TrainingData:
    """`train` after what regularization.* does to its batches. Raises ConfigError for a task that cannot mix."""
    config = experiment.config
    given = config.regularization
    changes = Changes(given.mixup, given.cutmix, given.mix_probability, given.random_erasing)
    if changes.mixes and not experiment.task.mixes:
        key = "mixup" if given.mixup else "cutmix"
        rule = f"makes samples of two targets at once, and task={config.task.option} has no loss for them"
        raise ConfigError.one(f"regularization.{key}", getattr(given, key), rule, "leave it out")
    for key in ("cutmix", "random_erasing"):  # of data whose kind the configuration does not tell
        inputs = experiment.bundle.spec.inputs
        if getattr(given, key) and not isinstance(inputs, ImageSpec):
            held = "a table" if isinstance(inputs, TableSpec) else describe_kind(inputs.kind)
            rule = f"cuts rectangles out of images, and this data holds {held}"
            raise ConfigError.one(f"regularization.{key}", getattr(given, key), rule, "leave it out")
    return ChangedBatches(train, changes, config.seed) if changes else train


def _held(experiment: Experiment, schedule: Schedule, optimizer: torch.optim.Optimizer, per_epoch: int) -> Schedule:
    """`schedule`, until stochastic weight averaging begins at a rate of its own."""
    swa = experiment.config.regularization.swa
    if swa.start_epoch is None or swa.lr is None:
        return schedule
    return Held(schedule, optimizer, (swa.start_epoch - 1) * per_epoch, swa.lr)


def _refuse_two_averages(experiment: Experiment, optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
    given, option = experiment.config.regularization, experiment.config.optim.option
    for key, value in (("ema.decay", given.ema.decay), ("swa.start_epoch", given.swa.start_epoch)):
        if value is not None and any(hasattr(optimizer, "eval") for optimizer in optimizers.values()):
            rule = f"averages weights, and optim={option} judges an average of its own"
            raise ConfigError.one(f"regularization.{key}", value, rule, "leave it out, or choose another optimizer")


def nonfinite_policy(config: RunConfig) -> NonfinitePolicy:
    """What the configuration wants done about losses and gradients that are not finite."""
    trainer = config.trainer
    return NonfinitePolicy(trainer.on_nonfinite, trainer.nonfinite_limit)


def _refuse_batches_of_one(experiment: Experiment) -> None:
    """Batch normalisation has no variance over a single sample; told before training, not in its first update."""
    norms = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in experiment.networks.modules())
    if norms and min(experiment.config.batch_size, len(experiment.bundle.splits["train"])) == 1:
        remedy = "use data.batch_size=2 or more (trainer.accumulate is no help), or another norm"
        raise ConfigError.one("data.batch_size", 1, "batch normalisation needs two samples in a batch", remedy)


def _refuse_beside_closure(experiment: Experiment, searches: bool) -> None:
    """What an optimizer that takes several gradients for an update cannot stand. Raises ConfigError.

    searches  whether it compares them, along a line or from one update to the next
    """
    option, trainer, given = experiment.config.optim.option, experiment.config.trainer, experiment.config.regularization
    if experiment.precision.name == "fp16":
        rule = f"scales the loss and leaves out updates, and optim={option} takes losses and gradients of its own"
        raise ConfigError.one("trainer.precision", "fp16", rule, "set trainer.precision=fp32")
    if given.gradient_noise:
        rule = f"is noise on one gradient, and optim={option} takes several for an update"
        raise ConfigError.one("regularization.gradient_noise", given.gradient_noise, rule, "leave it out")
    if searches and given.max_norm:
        rule = f"changes what optim={option} finds by its own line search"
        raise ConfigError.one("regularization.max_norm", given.max_norm, rule, "leave it out")
    for key, value in (("clip_norm", trainer.clip_norm), ("gradient_norm", trainer.gradient_norm)):
        if searches and value is not None:
            rule = f"changes gradients, and optim={option} takes the curvature from how they change"
            raise ConfigError.one(f"trainer.{key}", value, rule, "leave it out")
