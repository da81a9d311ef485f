"""Preparation of training: optimizers, schedules, batches and step rules of an Experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import ceil

import torch
from torch import nn

from dlexp.assemble.compatibility import refuse_changes_of_batches
from dlexp.assemble.compression import refuse_onnx, zero_weights
from dlexp.assemble.experiment import Experiment
from dlexp.assemble.metrics import check_metrics
from dlexp.assemble.one_graph import phase_graphs, refuse_settings, refuse_untraceable
from dlexp.config.nodes import build
from dlexp.config.schema.run import RunConfig
from dlexp.data.batches import bounds
from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.loaders import TrainBatches
from dlexp.engine.best_epoch import BestSoFar
from dlexp.engine.loop import FitPlan, Observer
from dlexp.engine.one_graph.phase_graphs import PhaseGraphs
from dlexp.engine.parallel import EvalShare, RankShare, problem_of_norms, synchronize_norms
from dlexp.engine.recovery import Failure, NonFiniteEvent, NonfinitePolicy, RecoveryHooks
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules
from dlexp.errors import ConfigError
from dlexp.networks.layers import hidden_matrices
from dlexp.optim.parameter_groups import parameter_groups, parameter_shares
from dlexp.optim.schedules.base import Schedule
from dlexp.optim.schedules.of_torch import as_schedule
from dlexp.optim.schedules.swa import SwaSchedule
from dlexp.optim.traits import OptimizerTraits, traits_of
from dlexp.regularization.constraints import MaxNorm
from dlexp.regularization.gradient_noise import GradientNoise
from dlexp.regularization.mixing import BatchChanges, ChangedBatches
from dlexp.regularization.penalties import Penalty
from dlexp.regularization.weight_averaging import Ema, NoAverage, Swa, WeightAverage
from dlexp.runtime.distributed import ALONE, ProcessGroup
from dlexp.runtime.settings import STEP
from dlexp.sequence_specs import ForecastSpec
from dlexp.specs import ClassSpec, ValueSpec
from dlexp.tasks.base import Task
from dlexp.types import TrainingData


@dataclass(frozen=True)
class TrainingSetup:
    """The state that training changes, the batches that it reads and the rules of its updates, at its beginning.

    unchanged  the batches without the changes of regularization.*
    """

    experiment: Experiment
    state: TrainState
    batches: TrainingData
    unchanged: TrainingData
    rules: StepRules
    steps_per_epoch: int

    @property
    def graphs(self) -> PhaseGraphs | None:
        """The graphs of its updates, None without `trainer.compile=step`."""
        return self.rules.graphs if isinstance(self.rules.graphs, PhaseGraphs) else None

    def plan(self, observers: Sequence[Observer] = (), recovery: RecoveryHooks | None = None) -> FitPlan:
        """The plan of the whole training.

        Args:
            observers: Called after every update and every epoch.
            recovery: Reaction to updates that fail, None for that of the configuration.
        """
        config, val, group = self.experiment.config, self.experiment.split("val"), self.rules.group
        return FitPlan(
            task=self.experiment.task,
            train=self.batches,
            val=EvalShare(val, group) if group.size > 1 else val,
            rules=self.rules,
            epochs=config.trainer.epochs,
            accumulate=config.trainer.accumulate,
            monitor=config.monitor,
            save_every_steps=config.trainer.save_every_steps,
            observers=tuple(observers),
            recovery=recovery_hooks(self.experiment) if recovery is None else recovery,
            statistics=self.unchanged,
            metric_state=self.experiment.metrics.epoch_state,
            first_best_epoch=max(1, config.compression.gradual_epochs),
        )


def recovery_hooks(
    experiment: Experiment,
    on_event: Callable[[NonFiniteEvent], None] = lambda event: None,
    on_failure: Callable[[Failure], str] | None = None,
) -> RecoveryHooks:
    """The reaction to updates that fail which the configuration wants, with these callbacks."""
    trainer = experiment.config.trainer
    policy = NonfinitePolicy(trainer.on_nonfinite, trainer.nonfinite_limit)
    return RecoveryHooks(policy, bool(experiment.trusted), on_event, on_failure)


def stacking_problem(experiment: Experiment) -> str:
    """Why a run is not trained in a stack with others, as far as its experiment tells; "" for nothing."""
    if experiment.bundle.is_streamed:
        return "its samples are read while it is trained"
    if experiment.settings.compile_mode is not None:
        return "it is compiled (trainer.compile)"
    return ""


def prepare_training(experiment: Experiment, group: ProcessGroup = ALONE) -> TrainingSetup:
    """Build optimizers, schedules and batches. Raises ConfigError for settings that they refuse.

    group  the processes that train together; each takes its share of every batch
    """
    config, task, networks = experiment.config, experiment.task, experiment.networks
    refuse_onnx(config)
    is_balanced = config.balance == "sampling"
    train = TrainBatches(experiment.bundle, config.batch_size, config.seed, experiment.device, is_balanced)
    if experiment.settings.compile_mode == STEP:
        refuse_settings(experiment)
    check_monitor(config, experiment.bundle, task)
    check_metrics(experiment.bundle, experiment.metrics)
    _refuse_phases(config, task)
    _refuse_batches_of_one(experiment)
    steps_per_epoch = ceil(len(train) / config.trainer.accumulate)
    optimizers: dict[str, torch.optim.Optimizer] = {}
    schedules: dict[str, Schedule] = {}
    for phase in task.phases:
        optimizers[phase] = _optimizer(experiment, phase)
        schedules[phase] = _schedule(experiment, phase, optimizers[phase], steps_per_epoch)
    stopping = config.regularization.early_stopping
    best = BestSoFar(config.maximize, stopping.min_delta, stopping.patience)
    average = _average(experiment)
    scaler = experiment.precision.scaler()
    state = TrainState(networks, optimizers, schedules, scaler, best, average, experiment.freezing)
    state.keeps_generators = bool(experiment.trusted)
    _refuse_two_averages(experiment, state.traits)
    unchanged: TrainingData = train
    batches = _changed(experiment, train)
    if group.size > 1:
        _refuse_for_processes(experiment, group)
        synchronize_norms(networks, group)
        batches, unchanged = RankShare(batches, group), RankShare(train, group)
    rules = replace(_rules(experiment, group), zeros=zero_weights(config, networks, state.traits, steps_per_epoch))
    if experiment.settings.compile_mode == STEP:
        refuse_untraceable(experiment, state, batches, rules)
        rules = replace(rules, graphs=phase_graphs(experiment, batches, steps_per_epoch * config.trainer.epochs))
    return TrainingSetup(experiment, state, batches, unchanged, rules, steps_per_epoch)


def _optimizer(experiment: Experiment, phase: str) -> torch.optim.Optimizer:
    """The optimizer of a phase, with what optim.phases says of it."""
    config, networks = experiment.config, experiment.networks
    given = parameter_shares(dict(networks.items()), config.layer_decay, config.optim_groups)
    node, own = config.optim_of(phase)
    updated = [networks[name] for name in experiment.task.phases[phase].networks]
    decays = own.get("decay_norms_and_biases", config.decay_norms_and_biases)
    parts = {
        "params": parameter_groups(updated, decays, given, node.arguments.get("lr")),
        "hidden_matrices": hidden_matrices(updated),
    }
    optimizer: torch.optim.Optimizer = build(node, parts, experiment.trusted)
    traits = traits_of(optimizer)
    if traits.needs_closure:
        _refuse_beside_closure(experiment, traits)
    return optimizer


def _schedule(experiment: Experiment, phase: str, optimizer: torch.optim.Optimizer, steps_per_epoch: int) -> Schedule:
    """The schedule of a phase, with what scheduler.phases says of it; it moves with every update of the run."""
    config, swa = experiment.config, experiment.config.regularization.swa
    runtime = {
        "optimizer": optimizer,
        "maximize": config.maximize,
        "steps_per_epoch": steps_per_epoch,
        "total_steps": steps_per_epoch * config.trainer.epochs,
    }
    node = config.scheduler_of(phase)
    built = build(node, runtime, experiment.trusted)
    try:
        schedule = as_schedule(built, steps_per_epoch, config.maximize)
    except (TypeError, ValueError) as error:
        raise ConfigError.one("scheduler", node.option, str(error), code="invalid-value") from error
    if swa.start_epoch is None or swa.lr is None:
        return schedule
    return SwaSchedule(schedule, optimizer, (swa.start_epoch - 1) * steps_per_epoch, swa.lr)


def _refuse_phases(config: RunConfig, task: Task) -> None:
    """Raise ConfigError for phases that never run together, and for settings of a phase that the task has not."""
    if all(phase.every > 1 for phase in task.phases.values()):
        rule = "at least one phase must run in every update"
        raise ConfigError.one(
            "task", config.task.option, rule, "Set Phase.every=1 in one of them.", code="invalid-value"
        )
    for group, settings in (("optim", config.optim_phases), ("scheduler", config.scheduler_phases)):
        for phase in settings:
            if phase not in task.phases:
                near = get_close_matches(phase, task.phases, n=1)
                remedy = f"Did you mean {group}.phases.{near[0]}?" if near else f"Available: {', '.join(task.phases)}"
                rule = f"unknown phase of task={config.task.option}"
                raise ConfigError.one(f"{group}.phases.{phase}", "", rule, remedy, code="unknown-key")


def check_monitor(config: RunConfig, bundle: DataBundle, task: Task) -> None:
    """Raise ConfigError if the deciding metric is undefined on the validation split."""
    if not isinstance(bundle.spec.targets, ClassSpec | ValueSpec | ForecastSpec):
        return
    reason = task.undefined(config.monitor.removeprefix("val/"), tensor_of(bundle.splits["val"].targets))
    if reason:
        key = "trainer.monitor" if config.trainer.monitor else "task.monitor"
        rule, remedy = f"undefined on this validation split: {reason}", "Set trainer.monitor=val/loss"
        if not isinstance(bundle.spec.targets, ForecastSpec):
            remedy += ", or use a validation split with all classes. If dlexp draws the split, "
            remedy += "change data.split_seed or data.val_fraction."
        raise ConfigError.one(key, config.monitor, rule, remedy, code="incompatible-data")


def _rules(experiment: Experiment, group: ProcessGroup) -> StepRules:
    config, on_cpu = experiment.config, experiment.device.type == "cpu"
    given = config.regularization
    return StepRules(
        experiment.precision,
        Penalty(given.l1, given.l2),
        config.trainer.clip_norm,
        config.seed,
        check_every_step=on_cpu,
        noise=GradientNoise(given.gradient_noise) if given.gradient_noise else None,
        max_norm=None if given.max_norm is None else MaxNorm(given.max_norm),
        gradient_norm=config.trainer.gradient_norm,
        group=group,
    )


def _average(experiment: Experiment) -> WeightAverage:
    given, networks = experiment.config.regularization, experiment.networks
    if given.ema.decay is not None:
        return Ema(networks, given.ema.decay)
    return NoAverage() if given.swa.start_epoch is None else Swa(networks, given.swa.start_epoch)


def _changed(experiment: Experiment, train: TrainingData) -> TrainingData:
    """Return `train` with MixUp, CutMix and random erasing. Raises ConfigError if task or data do not support them."""
    config = experiment.config
    given = config.regularization
    changes = BatchChanges(given.mixup, given.cutmix, given.mix_probability, given.random_erasing)
    if changes.mixes and not experiment.task.mixes:
        key = "mixup" if given.mixup else "cutmix"
        rule = f"not supported with task={config.task.option}: its loss does not accept mixed targets"
        raise ConfigError.one(
            f"regularization.{key}", getattr(given, key), rule, f"Remove regularization.{key}.", code="not-supported"
        )
    if changes:
        refuse_changes_of_batches(given, experiment.bundle)
    return ChangedBatches(train, changes, config.seed) if changes else train


def _refuse_two_averages(experiment: Experiment, traits: Mapping[str, OptimizerTraits]) -> None:
    given, option = experiment.config.regularization, experiment.config.optim.option
    for key, value in (("ema.decay", given.ema.decay), ("swa.start_epoch", given.swa.start_epoch)):
        if value is not None and any(has.keeps_average for has in traits.values()):
            rule = f"cannot be combined with optim={option}, which averages weights itself"
            remedy = f"Remove regularization.{key}, or use another optimizer."
            raise ConfigError.one(f"regularization.{key}", value, rule, remedy, code="cannot-combine")


def _refuse_for_processes(experiment: Experiment, group: ProcessGroup) -> None:
    """Raise ConfigError for what several processes cannot train: batches too small to share, and local statistics."""
    size = experiment.config.batch_size
    start, end = bounds(len(experiment.bundle.splits["train"]), size)[-1]
    if end - start < group.size:
        rule = f"leaves a last batch of {end - start} samples, which {group.size} processes cannot share"
        raise ConfigError.one("data.batch_size", size, rule, "Set another data.batch_size.", code="out-of-range")
    if problem := problem_of_norms(experiment.networks):
        rule = f"cannot be trained by several processes: {problem}"
        option = experiment.config.model.option
        raise ConfigError.one("model", option, rule, "Use another norm.", code="not-supported")


def _refuse_batches_of_one(experiment: Experiment) -> None:
    """Raise ConfigError for batches of one sample with batch normalization, which requires a variance."""
    norms = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in experiment.networks.modules())
    if norms and min(experiment.config.batch_size, len(experiment.bundle.splits["train"])) == 1:
        remedy = "Set data.batch_size=2 or more (trainer.accumulate does not help), or use another norm."
        raise ConfigError.one(
            "data.batch_size",
            1,
            "batch normalization requires at least two samples per batch",
            remedy,
            code="out-of-range",
        )


def _refuse_beside_closure(experiment: Experiment, traits: OptimizerTraits) -> None:
    """Raise ConfigError for settings that an optimizer with several gradients in an update does not support."""
    option, trainer, given = experiment.config.optim.option, experiment.config.trainer, experiment.config.regularization
    searches = traits.has_line_search

    def refusal(key: str, value: object, rule: str, remedy: str = "Leave it out.") -> ConfigError:
        return ConfigError.one(key, value, rule, remedy, code="cannot-combine")

    if experiment.precision.name == "fp16":
        rule = (
            f"fp16 loss scaling is not supported with optim={option}, which computes the loss several times per update"
        )
        raise refusal("trainer.precision", "fp16", rule, "Set trainer.precision=fp32")
    if given.gradient_noise:
        rule = f"gradient noise is not supported with optim={option}, which takes several gradients per update"
        raise refusal("regularization.gradient_noise", given.gradient_noise, rule)
    if searches and given.max_norm:
        rule = f"cannot be combined with optim={option}: it changes the weights that its line search finds"
        raise refusal("regularization.max_norm", given.max_norm, rule)
    for key, value in (("clip_norm", trainer.clip_norm), ("gradient_norm", trainer.gradient_norm)):
        if searches and value is not None:
            rule = f"cannot be combined with optim={option}, which estimates the curvature from unscaled gradients"
            raise refusal(f"trainer.{key}", value, rule)
