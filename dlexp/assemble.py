"""RunConfig -> Experiment: the only file that knows every builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import torch
from torch import nn

from dlexp.config.nodes import build, check_arguments
from dlexp.config.schema import Node, RunConfig
from dlexp.data.bundle import DataBundle, with_counts
from dlexp.data.loaders import EvalBatches, TrainBatches
from dlexp.engine.evaluate import evaluate
from dlexp.engine.guard import NonfinitePolicy
from dlexp.engine.policy import BestSoFar
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules
from dlexp.errors import ConfigError, Problem
from dlexp.optim.groups import parameter_groups, shares
from dlexp.optim.layers import hidden_matrices
from dlexp.optim.schedule import Schedule
from dlexp.regularization.penalties import Penalty
from dlexp.runtime.device import select_device, set_deterministic
from dlexp.runtime.precision import Precision
from dlexp.runtime.process import Setting
from dlexp.runtime.recompute import recompute_activations
from dlexp.runtime.seed import seed_global
from dlexp.runtime.settings import NetworkFacts, Settings, apply, compile_networks, decide
from dlexp.tasks.base import Task
from dlexp.types import DataSpec

# What each kind of component may ask for by naming it as an argument; the values exist only at run time.
_RUNTIME_NAMES: Mapping[str, tuple[str, ...]] = {
    "data": (),
    "model": ("input_shape", "num_outputs", "num_classes", "in_channels", "in_features", "categorical"),
    "task": ("spec", "loss"),
    "loss": ("class_counts", "target_min"),
    "optim": ("params", "hidden_matrices"),
    "scheduler": ("optimizer", "total_steps", "steps_per_epoch", "maximize"),
}


@dataclass(frozen=True)
class Experiment:
    """Everything that a run needs, built and fitted together."""

    config: RunConfig
    trusted: tuple[str, ...]
    bundle: DataBundle
    task: Task
    networks: nn.ModuleDict
    device: torch.device
    settings: Settings

    @property
    def precision(self) -> Precision:
        """How a step computes."""
        return self.settings.precision

    def split(self, name: str) -> EvalBatches:
        """The batches of a split, in order."""
        return EvalBatches(self.bundle, name, self.config.eval_batch_size, self.device)

    @property
    def num_parameters(self) -> int:
        """Numbers that training may change."""
        return sum(p.numel() for p in self.networks.parameters() if p.requires_grad)


def assemble(
    config: RunConfig, trusted: Sequence[str] = (), bundle: DataBundle | None = None, cores: int | None = None
) -> Experiment:
    """Build data, task and networks, and let the settings for them hold in this process.

    bundle  the data, when they were read before
    cores   processor cores that the run may use, None for all of the process's
    Raises ConfigError for parts that do not fit, DataError for data that cannot be used.
    """
    check_nodes(config, trusted)
    device = select_device(config.trainer.device)
    set_deterministic(config.deterministic)
    bundle = with_counts(bundle or build_data(config, trusted))
    facts = {"class_counts": bundle.spec.class_counts, "target_min": bundle.spec.target_min}
    loss = build(config.loss, facts, trusted)
    loss = loss.to(device) if isinstance(loss, nn.Module) else loss
    task: Task = build(config.task, {"spec": bundle.spec, "loss": loss}, trusted)
    seed_global(config.seed, "init")
    networks = _networks(build(config.model, _facts(bundle.spec, task), trusted)).to(device)
    network_facts = NetworkFacts.of(networks, config.batch_size)
    settings = decide(config.trainer, device, network_facts, cores, _data_settings(config, bundle, device))
    networks = apply(settings, networks)
    experiment = Experiment(config, tuple(trusted), bundle, task, networks, device, settings)
    _probe(experiment)
    if settings.checkpoint_activations:
        recompute_activations(networks)
    if settings.compile_mode is not None:
        compile_networks(networks, settings.compile_mode, device)
    return experiment


def _data_settings(config: RunConfig, bundle: DataBundle, device: torch.device) -> tuple[Setting, ...]:
    """How samples reach the device."""
    if not bundle.is_streamed:
        reason = f"the data is kept once, as tensors on {device}, and a batch is gathered from them"
        return Setting("workers", "0", reason, "data.in_memory"), Setting("pinned_memory", "false", reason, "-")
    reason = "samples are read while they are used; auto is one worker for each thread, 8 at most"
    workers = Setting("workers", str(config.data.arguments.get("workers", "auto")), reason, "data.workers")
    pinned = device.type == "cuda"
    reason = "a GPU copies from pinned memory while it computes" if pinned else "only a GPU gains from it"
    return workers, Setting("pinned_memory", str(pinned).lower(), reason, "-")


def build_data(config: RunConfig, trusted: Sequence[str] = ()) -> DataBundle:
    """Read and split the data. Raises DataError for data that cannot be used."""
    bundle: DataBundle = build(config.data, {}, trusted)
    return bundle


@dataclass(frozen=True)
class Started:
    """What training changes, what it reads and how it steps, for an experiment at its beginning."""

    state: TrainState
    batches: TrainBatches
    rules: StepRules
    steps_per_epoch: int


def start(experiment: Experiment) -> Started:
    """Optimizers, schedules and batches. Raises ConfigError for settings that they refuse."""
    config, task, networks = experiment.config, experiment.task, experiment.networks
    train = TrainBatches(experiment.bundle, config.batch_size, config.seed, experiment.device)
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
            _refuse_beside_closure(experiment)
        runtime = {"optimizer": optimizer, "maximize": config.maximize, **length}
        optimizers[phase], schedules[phase] = optimizer, build(config.scheduler, runtime, experiment.trusted)
    stopping = config.regularization.early_stopping
    best = BestSoFar(config.maximize, stopping.min_delta, stopping.patience)
    penalty = Penalty(config.regularization.l1, config.regularization.l2)
    on_cpu = experiment.device.type == "cpu"
    rules = StepRules(experiment.precision, penalty, config.trainer.clip_norm, config.seed, check_at_once=on_cpu)
    state = TrainState(networks, optimizers, schedules, experiment.precision.scaler(), best)
    return Started(state, train, rules, steps_per_epoch)


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


def _refuse_beside_closure(experiment: Experiment) -> None:
    """What an optimizer that compares losses and gradients of its own line search cannot stand. Raises ConfigError."""
    option, trainer = experiment.config.optim.option, experiment.config.trainer
    if experiment.precision.name == "fp16":
        rule = f"scales the loss and leaves out updates, and optim={option} compares losses and gradients of its own"
        raise ConfigError.one("trainer.precision", "fp16", rule, "set trainer.precision=fp32")
    if trainer.clip_norm is not None:
        rule = f"changes gradients, and optim={option} takes the curvature from how they change"
        raise ConfigError.one("trainer.clip_norm", trainer.clip_norm, rule, "leave it out")


def check_nodes(config: RunConfig, trusted: Sequence[str]) -> None:
    """Every component's arguments against its signature, before anything is built. Raises ConfigError with all."""
    problems: list[Problem] = []
    for node in (config.data, config.model, config.task, config.loss, config.optim, config.scheduler):
        try:
            problems += check_arguments(node, _RUNTIME_NAMES[node.group], trusted)
        except ConfigError as error:
            problems += [
                Problem(f"{node.group}={node.option}", "", f"{p.given} {p.rule}", p.remedy) for p in error.problems
            ]
    if problems:
        raise ConfigError(problems)


def _facts(spec: DataSpec, task: Task) -> dict[str, Any]:
    """What a model may want to know of the data, and of what its outputs are for."""
    num_outputs = task.num_outputs(spec)
    return {
        "input_shape": spec.input_shape,
        "num_outputs": num_outputs,
        "num_classes": num_outputs,
        "in_channels": spec.input_shape[0],
        "in_features": prod(spec.input_shape),
        "categorical": spec.categorical,
    }


def _networks(built: object) -> nn.ModuleDict:
    """A single network is called `model`; several come with their names. Raises ConfigError for anything else."""
    if isinstance(built, nn.ModuleDict):
        return built
    if isinstance(built, nn.Module):
        return nn.ModuleDict({"model": built})
    if isinstance(built, dict) and built and all(isinstance(network, nn.Module) for network in built.values()):
        return nn.ModuleDict(built)
    raise ConfigError.one("model", type(built).__name__, "must build a torch.nn.Module, or a dict of named ones")


def _probe(experiment: Experiment) -> None:
    """Two validation samples through the networks: a shape that does not fit is told now, and by its key."""
    node: Node = experiment.config.model
    two = torch.arange(min(2, len(experiment.bundle.splits["val"])))
    few = EvalBatches(experiment.bundle.narrowed("val", two), "val", 2, experiment.device)
    try:
        evaluate(experiment.task, experiment.networks, few, experiment.precision)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError) as error:
        shape = experiment.bundle.spec.input_shape
        rule = f"does not work on data={experiment.config.data.option}, whose samples have shape {shape}: {error}"
        raise ConfigError.one("model", node.option, rule) from error
