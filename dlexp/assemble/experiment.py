"""RunConfig -> Experiment: the only file that knows every builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from dlexp.config.check.advice import advice, advice_on_classes
from dlexp.config.nodes import build, check_arguments
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle, with_counts
from dlexp.data.interpretation import interpretation
from dlexp.data.loaders import EvalBatches
from dlexp.engine.evaluate import evaluate
from dlexp.errors import ConfigError, DlexpError, Problem, message_of, reading_data
from dlexp.kinds import INPUTS, TARGETS, describe_kind
from dlexp.networks.activation_checkpointing import recompute_activations
from dlexp.networks.arithmetic import Arithmetic, watched
from dlexp.optim.freezing import Freezing, freezing
from dlexp.runtime.device import select_device, set_deterministic
from dlexp.runtime.out_of_memory import out_of_memory
from dlexp.runtime.precision import AUTO, Precision
from dlexp.runtime.process import Setting
from dlexp.runtime.seed import seed_global
from dlexp.runtime.settings import NetworkFacts, Settings, apply, compile_networks, decide
from dlexp.specs import ClassSpec, DataSpec
from dlexp.tasks.base import Task

# What each kind of component may ask for by naming it as an argument; the values exist only at run time.
_RUNTIME_NAMES: Mapping[str, tuple[str, ...]] = {
    "data": (),
    "model": (
        *("input_shape", "num_outputs", "num_classes", "in_channels", "in_features", "categorical"),
        *("vocabulary_size", "max_length"),
    ),
    "task": ("spec", "loss"),
    "loss": ("class_counts", "target_min", "embedding_size"),
    "optim": ("params", "hidden_matrices"),
    "scheduler": ("optimizer", "total_steps", "steps_per_epoch", "maximize"),
}


@dataclass(frozen=True)
class Experiment:
    """Everything that a run needs, built and fitted together.

    notes  what a person should know of how it was built
    """

    config: RunConfig
    trusted: tuple[str, ...]
    bundle: DataBundle
    task: Task
    networks: nn.ModuleDict
    device: torch.device
    settings: Settings
    freezing: Freezing = field(default_factory=Freezing)
    notes: tuple[str, ...] = ()

    @property
    def precision(self) -> Precision:
        """How a step computes."""
        return self.settings.precision

    @property
    def interpretation(self) -> str:
        """What was made of the data, in one line."""
        return interpretation_of(self.config, self.bundle)

    def split(self, name: str) -> EvalBatches:
        """The batches of a split, in order."""
        return EvalBatches(self.bundle, name, self.config.eval_batch_size, self.device)

    @property
    def num_parameters(self) -> int:
        """Numbers that training may change, sooner or later."""
        never = {name for name, begins in self.freezing.until.items() if begins is None}
        return sum(p.numel() for name, p in self.networks.named_parameters() if name not in never)


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
    _check_kinds(config, bundle.spec)
    seed_global(config.seed, "init")
    task = build_task(config, bundle.spec, trusted, device)
    networks = _networks(build(config.model, _model_arguments(bundle.spec, task), trusted), task).to(device)
    torch.set_num_threads(1)  # two samples, and a study forks its trials from here; `apply` sets what is decided
    network_facts = NetworkFacts.of(networks, config.batch_size, _probe(config, bundle, task, networks, device))
    settings = decide(config.trainer, device, network_facts, cores, _data_settings(config, bundle, device))
    networks = apply(settings, networks)
    trainer = config.trainer
    frozen = freezing(networks, trainer.freeze, trainer.freeze_layers, trainer.unfreeze_epoch, trainer.unfreeze_every)
    frozen.fix(networks)
    notes = [*advice(config)]
    if isinstance(targets := bundle.spec.targets, ClassSpec):
        notes += advice_on_classes(targets.counts, targets.names, config.loss.arguments)
    if settings.checkpoint_activations:
        recompute_activations(networks)
    if settings.compile_mode is not None:
        compile_networks(networks, settings.compile_mode, device)
    return Experiment(config, tuple(trusted), bundle, task, networks, device, settings, frozen, tuple(notes))


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
    with reading_data(config.data.arguments.get("path")):
        bundle: DataBundle = build(config.data, {}, trusted)
    return replace(bundle, notes=(*bundle.notes, *bundle.recipe.notes)) if bundle.recipe.notes else bundle


def build_task(config: RunConfig, spec: DataSpec, trusted: Sequence[str], device: torch.device) -> Task:
    """The task with its loss on `device`, for data with counted classes. Raises ConfigError for what does not fit."""
    own = {} if spec.targets is None else spec.targets.loss_arguments()
    embedding_size = config.task.arguments.get("embedding_size")
    loss = build(config.loss, {"class_counts": (), "target_min": (), **own, "embedding_size": embedding_size}, trusted)
    loss = loss.to(device) if isinstance(loss, nn.Module) else loss
    task: Task = build(config.task, {"spec": spec, "loss": loss}, trusted)
    return task


def interpretation_of(config: RunConfig, bundle: DataBundle) -> str:
    """What was made of the data of `config`, in one line; see `interpretation`."""
    task = "" if config.task.option in ("classification", "regression") else config.task.option.replace("_", " ")
    return interpretation(bundle, task, config.data.arguments.get("drop") or ())


def check_nodes(config: RunConfig, trusted: Sequence[str]) -> None:
    """Every component's arguments against its signature, before anything is built. Raises ConfigError with all."""
    problems: list[Problem] = []
    for node in (config.data, config.model, config.task, config.loss, config.optim, config.scheduler):
        try:
            is_complete = not _brings_arguments(config, node.group)
            problems += check_arguments(node, _RUNTIME_NAMES[node.group], trusted, is_complete=is_complete)
        except ConfigError as error:
            problems += [
                Problem(f"{node.group}={node.option}", "", f"{p.given} {p.rule}", p.remedy, code=p.code)
                for p in error.problems
            ]
    if problems:
        raise ConfigError(problems)


def _brings_arguments(config: RunConfig, group: str) -> bool:
    """Whether the data may be of a kind of the user's own, which can have arguments of its own for this component."""
    kinds = {"model": ("_inputs_", INPUTS), "loss": ("_targets_", TARGETS)}
    if group not in kinds or config.data.target.startswith("dlexp."):
        return False
    aspect, known = kinds[group]
    return config.tree["data"].get(aspect) not in known


def _check_kinds(config: RunConfig, spec: DataSpec) -> None:
    """Raise ConfigError for a component that works on another kind of data than these are."""
    given = {"_inputs_": spec.inputs.kind, "_targets_": spec.target_kind}
    for group, aspect in (("model", "_inputs_"), ("task", "_targets_"), ("loss", "_targets_")):
        wanted = config.tree[group].get(aspect)
        if wanted is not None and wanted != given[aspect]:
            rule = (
                f"works on {describe_kind(wanted)}, and data={config.data.option} holds {describe_kind(given[aspect])}"
            )
            option = config.choices.get(group, "")
            raise ConfigError.one(group, option, rule, f"Choose another {group}.", code="incompatible-data")


def _model_arguments(spec: DataSpec, task: Task) -> dict[str, Any]:
    """Arguments that a model can name in its signature, from the data and the task."""
    num_outputs = task.num_outputs(spec)
    outputs = {"num_outputs": num_outputs, "num_classes": num_outputs} if num_outputs else {}
    return {**spec.model_arguments(), **outputs}


def _networks(built: object, task: Task) -> nn.ModuleDict:
    """The model's networks and the task's own. A single network is called `model`; several come with their names.

    Raises ConfigError for what is no network.
    """
    if isinstance(built, nn.Module) and not isinstance(built, nn.ModuleDict):
        built = {"model": built}
    named = dict(built.items()) if isinstance(built, nn.ModuleDict | dict) else {}
    if named and all(isinstance(network, nn.Module) for network in named.values()):
        return nn.ModuleDict({**named, **task.own_networks()})
    raise ConfigError.one(
        "model", type(built).__name__, "must build a torch.nn.Module, or a dict of named ones", code="invalid-type"
    )


def _probe(
    config: RunConfig, bundle: DataBundle, task: Task, networks: nn.ModuleDict, device: torch.device
) -> Arithmetic:
    """Two validation samples through the networks: what they compute, before the precision is chosen by it.

    Raises ConfigError for a shape that does not fit, by its key.
    """
    two = torch.arange(min(2, len(bundle.splits["val"])))
    few = EvalBatches(bundle.with_split_subset("val", two), "val", 2, device)
    wanted = config.trainer.precision
    precision = Precision("fp32" if wanted == AUTO else wanted, device.type, "to look at the networks")
    try:
        with watched(networks) as work:
            state = task.metric_state(task.extra_metrics_of(config.monitor))
            evaluate(task, networks, few, precision, state, seed=config.seed)
    except DlexpError:
        raise
    except Exception as error:  # a network may raise anything
        if told := out_of_memory(error, f"a first look at model={config.model.option}", device, "a smaller model"):
            raise told from error
        inputs = bundle.spec.inputs
        samples = f"whose samples have shape {inputs.shape}" if inputs.shape else f"which holds {inputs.kind}"
        rule = f"does not work on data={config.data.option}, {samples}: {message_of(error)}"
        raise ConfigError.one(
            "model", config.model.option, rule, _remedy(config, networks), code="incompatible-data"
        ) from error
    return work


def _remedy(config: RunConfig, networks: nn.ModuleDict) -> str:
    """What lets networks read images of another size, or where their exception comes from."""
    sides = (getattr(module, "usual_side", None) for network in networks.values() for module in network.modules())
    side = next((side for side in sides if side is not None), None)
    if side is not None and config.model.arguments.get("resize") != side:
        return f"set model.resize={side}"
    return "" if config.model.target.startswith("dlexp.") else "set DLEXP_DEBUG=1 to see the traceback"
