"""Construction of an Experiment from a RunConfig. The only module that knows every builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from dlexp.assemble.anomalies import without_anomalies
from dlexp.assemble.compatibility import refuse_balance, without_suspects
from dlexp.assemble.data_facts import data_facts
from dlexp.assemble.metrics import RunMetrics, build_metrics, function_problems
from dlexp.assemble.numpy_networks import device_of, refuse_beside_numpy
from dlexp.assemble.running import failing_layer, parts_running
from dlexp.config.check.advice import advice, advice_on_classes
from dlexp.config.check.data_advice import advice_on_data
from dlexp.config.check.fitting import PARTS_OF_KINDS, misfit, preferred_task, remedy_of_kinds, rule_of_kinds
from dlexp.config.nodes import build, check_arguments
from dlexp.config.own_code import SEE_TRACEBACK, told_with_line
from dlexp.config.schema.data_name import is_own_data
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import shown
from dlexp.data.balancing import balance_notes
from dlexp.data.bundle import DataBundle, with_counts
from dlexp.data.interpretation import interpretation
from dlexp.data.loaders import EvalBatches
from dlexp.data.ranges import in_range
from dlexp.engine.evaluate import evaluate
from dlexp.errors import ConfigError, DataError, DlexpError, Problem, message_of, reading_data
from dlexp.kinds import INPUTS, TARGETS, describe_kind
from dlexp.networks.activation_checkpointing import recompute_activations
from dlexp.networks.arithmetic import Arithmetic, counted_arithmetic
from dlexp.optim.freezing import Freezing, freezing
from dlexp.runtime.device import set_deterministic
from dlexp.runtime.out_of_memory import out_of_memory
from dlexp.runtime.precision import AUTO, Precision
from dlexp.runtime.process import MachineSetting
from dlexp.runtime.seed import seed_global
from dlexp.runtime.settings import STEP, NetworkFacts, Settings, apply_settings, compile_networks, decide
from dlexp.specs import ClassSpec, DataSpec
from dlexp.tasks.base import Task
from dlexp.tasks.generative.base import GenerativeTask

# Run-time values that a component of each group can take as arguments of these names.
_RUNTIME_NAMES: Mapping[str, tuple[str, ...]] = {
    "data": ("anomalies",),
    "model": (
        *("input_shape", "num_outputs", "num_classes", "in_channels", "in_features", "categorical"),
        *("vocabulary_size", "max_length", "per_position", "target_max_length", "begin"),
        *("target_vocabulary_size", "levels"),
    ),
    "task": ("spec", "loss"),
    "loss": ("class_counts", "target_min", "embedding_size"),
    "optim": ("params", "hidden_matrices"),
    "scheduler": ("optimizer", "total_steps", "steps_per_epoch", "maximize"),
}


@dataclass(frozen=True)
class Experiment:
    """A fully built experiment.

    Attributes:
        config: The configuration.
        trusted: Trusted packages of the user.
        bundle: The data.
        task: The task, with its loss.
        networks: The networks on `device`, by name.
        device: The device.
        settings: Settings of the hardware and of precision.
        freezing: Frozen parameters, and when they are unfrozen.
        notes: Messages for the user, such as advice on the configuration.
        metrics: The metrics of an epoch and of an evaluation.
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
    metrics: RunMetrics = field(kw_only=True)

    @property
    def precision(self) -> Precision:
        """The precision of a step."""
        return self.settings.precision

    @property
    def interpretation(self) -> str:
        """A one-line description of how the data was interpreted."""
        return interpretation_of(self.config, self.bundle)

    def split(self, name: str) -> EvalBatches:
        """Return the batches of a split, in order."""
        return EvalBatches(self.bundle, name, self.config.eval_batch_size, self.device)

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters, including those that are unfrozen later."""
        never = {name for name, begins in self.freezing.until.items() if begins is None}
        return sum(p.numel() for name, p in self.networks.named_parameters() if name not in never)


def assemble(
    config: RunConfig, trusted: Sequence[str] = (), bundle: DataBundle | None = None, cores: int | None = None
) -> Experiment:
    """Build data, task and networks, and apply the settings of the hardware to this process.

    Args:
        config: The configuration.
        trusted: Trusted packages of the user.
        bundle: The data, if it was read before.
        cores: CPU cores that the run may use, None for all cores of the process.

    Raises ConfigError for incompatible components, DataError for data that cannot be used.
    """
    check_nodes(config, trusted)
    device = device_of(config)
    set_deterministic(config.deterministic)
    bundle = with_counts(bundle or build_data(config, trusted))
    _check_kinds(config, bundle.spec)
    refuse_balance(config, bundle.spec)
    seed_global(config.seed, "init")
    loss = build_loss(config, bundle.spec, trusted, device)
    task = build_task(config, bundle.spec, loss, trusted)
    networks = _networks(config, _build_model(config, bundle.spec, task, trusted), task)
    refuse_beside_numpy(config, networks, device)
    networks = networks.to(device)
    metrics = build_metrics(config, bundle.spec, task, trusted)  # after the weights are drawn
    torch.set_num_threads(1)  # for two samples, and for studies, which fork here; `apply` sets the final number
    network_facts = NetworkFacts.of(networks, config.batch_size, _probe(config, bundle, task, loss, networks))
    settings = decide(config.trainer, device, network_facts, cores, _data_settings(config, bundle, device))
    networks = apply_settings(settings, networks)
    trainer = config.trainer
    frozen = freezing(networks, trainer.freeze, trainer.freeze_layers, trainer.unfreeze_epoch, trainer.unfreeze_every)
    frozen.fix(networks)
    notes = [*advice(config)]
    if isinstance(targets := bundle.spec.targets, ClassSpec):
        notes += advice_on_classes(targets.counts, targets.names, config.loss.arguments, config.balance)
        notes += balance_notes(config.balance, targets.counts, targets.names)
    if is_own_data(config.data.option):  # no split of other data is touched: trials have none for testing
        notes += advice_on_data(config, data_facts(bundle, networks))
    if settings.checkpoint_activations:
        recompute_activations(networks)
    if settings.compile_mode not in (None, STEP):
        compile_networks(networks, settings.compile_mode, device)
    return Experiment(
        config, tuple(trusted), bundle, task, networks, device, settings, frozen, tuple(notes), metrics=metrics
    )


def _data_settings(config: RunConfig, bundle: DataBundle, device: torch.device) -> tuple[MachineSetting, ...]:
    """Return the settings of data loading."""
    if not bundle.is_streamed:
        reason = f"the data is stored as tensors on {device}, from which batches are gathered"
        return MachineSetting("workers", "0", reason, "data.in_memory"), MachineSetting(
            "pinned_memory", "false", reason, "-"
        )
    reason = "samples are read during training; auto: one worker per thread, at most 8"
    workers = MachineSetting("workers", str(config.data.arguments.get("workers", "auto")), reason, "data.workers")
    pinned = device.type == "cuda"
    reason = "a GPU copies from pinned memory during computation" if pinned else "only useful with a GPU"
    return workers, MachineSetting("pinned_memory", str(pinned).lower(), reason, "-")


def build_data(config: RunConfig, trusted: Sequence[str] = ()) -> DataBundle:
    """Read and split the data. Raises DataError for data that cannot be used, ConfigError for what does not fit it."""
    place = config.data.arguments.get("path")
    try:
        with reading_data(place):
            bundle: DataBundle = build(config.data, {"anomalies": config.anomalies}, trusted)
    except DataError as error:
        if error.code != "not-found" or error.column is not None or error.remedy or str(error.file) != str(place):
            raise
        remedy = "If it was moved, add data.path=PLACE with its new place"
        raise DataError(error.rule, file=error.file, remedy=remedy, code=error.code) from error
    bundle = without_anomalies(bundle, config.anomalies)
    bundle = in_range(without_suspects(config, bundle), config.tree["task"].get("_range_"))
    return replace(bundle, notes=(*bundle.notes, *bundle.recipe.notes)) if bundle.recipe.notes else bundle


def build_loss(config: RunConfig, spec: DataSpec, trusted: Sequence[str], device: torch.device) -> object:
    """Build the loss on `device`, for data with counted classes."""
    own = {} if spec.targets is None else spec.targets.loss_arguments()
    embedding_size = config.task.arguments.get("embedding_size")
    node = config.loss
    if config.balance == "weights":
        node = replace(node, arguments={**node.arguments, "class_weights": "balanced"})
    loss = build(node, {"class_counts": (), "target_min": (), **own, "embedding_size": embedding_size}, trusted)
    return loss.to(device) if isinstance(loss, nn.Module) else loss


def build_task(config: RunConfig, spec: DataSpec, loss: object, trusted: Sequence[str]) -> Task:
    """Build the task with its loss. Raises ConfigError if it is incompatible, or no Task."""
    task: object = build(config.task, {"spec": spec, "loss": loss}, trusted)
    if not isinstance(task, Task):
        rule = f"must be a subclass of dlexp.tasks.base.Task, got {type(task).__name__}"
        raise ConfigError.one("task", config.task.option, rule, code="invalid-type")
    for key, own in (("_metrics_", task.metrics), ("_extra_metrics_", task.extra_metrics)):
        given = config.tree["task"].get(key)
        if given is not None and dict(given) != dict(own):
            rule = f"must equal the attribute {key.strip('_')} of {config.task.target}, which is {shown(dict(own))}"
            remedy = f"Correct it in task/{config.task.option}.yaml, or in the class."
            raise ConfigError.one(f"task.{key}", shown(given), rule, remedy, code="invalid-value")
    return task


def interpretation_of(config: RunConfig, bundle: DataBundle) -> str:
    """Return a one-line description of how the data of `config` was interpreted; see `interpretation`."""
    task = "" if config.task.option in ("classification", "regression") else config.task.option.replace("_", " ")
    declared = config.data.arguments.get("columns") or {}
    return interpretation(bundle, task, [name for name, kind in declared.items() if kind == "drop"])


def check_nodes(config: RunConfig, trusted: Sequence[str]) -> None:
    """Check the arguments of components and metrics with their signatures. Raises ConfigError with all problems."""
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
    problems += function_problems(config, trusted)
    if problems:
        raise ConfigError(problems)


def _brings_arguments(config: RunConfig, group: str) -> bool:
    """Return whether the data may be of a user-defined kind, which can pass its own arguments to this component."""
    kinds = {"model": ("_inputs_", INPUTS), "loss": ("_targets_", TARGETS)}
    if group not in kinds or config.data.target.startswith("dlexp."):
        return False
    aspect, known = kinds[group]
    return config.tree["data"].get(aspect) not in known


def _check_kinds(config: RunConfig, spec: DataSpec) -> None:
    """Raise ConfigError for a component that works on another kind of data than these are."""
    tree = _with_kinds(config, spec)
    for group, aspect in PARTS_OF_KINDS:
        given = str(tree["data"][aspect])
        if wanted := misfit(tree[group], group, aspect, given):
            rule = rule_of_kinds(wanted, given, config.data.option, group, aspect)
            option = config.choices.get(group, "")
            remedy = remedy_of_kinds(tree, group, wanted, aspect, config.task.option) or f"Choose another {group}."
            raise ConfigError.one(group, option, rule, remedy, code="incompatible-data")


def _with_kinds(config: RunConfig, spec: DataSpec) -> dict[str, Any]:
    """The configuration with the kinds that the data turned out to have."""
    kinds = {"_inputs_": spec.inputs.kind, "_targets_": spec.target_kind}
    return {**config.tree, "data": {**config.tree["data"], **kinds}}


def _model_arguments(spec: DataSpec, task: Task) -> dict[str, Any]:
    """Arguments that a model can name in its signature, from the data and the task."""
    num_outputs = task.num_outputs(spec)
    if isinstance(task, GenerativeTask):  # values are no classes that a model can be conditioned on
        return {**spec.model_arguments(), "num_classes": task.num_classes}
    outputs = {"num_outputs": num_outputs, "num_classes": num_outputs} if num_outputs else {}
    return {**spec.model_arguments(), **outputs}


def _build_model(config: RunConfig, spec: DataSpec, task: Task, trusted: Sequence[str]) -> object:
    """Build the model. Raises ConfigError if it requires an argument that only other kinds of data have."""
    given = _model_arguments(spec, task)
    named = {problem.where.partition(".")[2] for problem in check_arguments(config.model, tuple(given), trusted)}
    if lacking := [name for name in _RUNTIME_NAMES["model"] if name in named and name not in config.model.arguments]:
        kind = describe_kind(spec.inputs.kind)
        rule = f"requires {' and '.join(lacking)}; data={config.data.option} has {kind}"
        remedy = remedy_of_kinds(_with_kinds(config, spec), "model", (), "_inputs_")
        remedy = remedy or f"Use a model for {kind}, or other data."
        raise ConfigError.one("model", config.model.option, rule, remedy, code="incompatible-data")
    return build(config.model, given, trusted)


def _networks(config: RunConfig, built: object, task: Task) -> nn.ModuleDict:
    """Return the networks of the model and of the task by name; a single network of the model is called `model`.

    Raises ConfigError if the model is not a network.
    """
    if isinstance(built, nn.Module) and not isinstance(built, nn.ModuleDict):
        built = {"model": task.around(built)}
    named = dict(built.items()) if isinstance(built, nn.ModuleDict | dict) else {}
    if named and all(isinstance(network, nn.Module) for network in named.values()):
        networks = nn.ModuleDict({**named, **task.own_networks()})
        _check_names(config, networks, task)
        return networks
    rule = f"must be a torch.nn.Module or a dict of named modules, got {type(built).__name__}"
    raise ConfigError.one("model", config.model.option, rule, code="invalid-type")


def _check_names(config: RunConfig, networks: nn.ModuleDict, task: Task) -> None:
    """Raise ConfigError for a model that lacks a network that the task trains, where it is made for another task."""
    lacking = {name for phase in task.phases.values() for name in phase.networks if name not in networks}
    made_for = preferred_task(config.tree, config.task.option)
    if lacking and made_for:
        rule = f"trains {' and '.join(sorted(lacking))}; model={config.model.option} has {', '.join(networks)}"
        raise ConfigError.one("task", config.task.option, rule, f"Use {made_for}", code="incompatible-data")


def _probe(config: RunConfig, bundle: DataBundle, task: Task, loss: object, networks: nn.ModuleDict) -> Arithmetic:
    """Run two validation samples through the networks and count their arithmetic, from which the precision is chosen.

    Raises ConfigError if the networks, the loss or the task cannot process the samples.
    """
    device = device_of(config)
    two = torch.arange(min(2, len(bundle.splits["val"])))
    few = EvalBatches(bundle.with_split_subset("val", two), "val", 2, device)
    wanted = config.trainer.precision
    precision = Precision("fp32" if wanted == AUTO else wanted, device.type, "to count the arithmetic of the networks")
    parts = dict.fromkeys(networks.values(), "model") | ({loss: "loss"} if isinstance(loss, nn.Module) else {})
    try:
        with counted_arithmetic(networks) as work, parts_running(parts) as running:
            state = task.metric_state(task.extra_metrics_of(config.monitor))
            found = evaluate(task, networks, few, precision, state, seed=config.seed)
    except DlexpError:
        raise
    except Exception as error:  # a network may raise anything
        if shortage := out_of_memory(
            error, f"a test of model={config.model.option} with two samples", device, "a smaller model"
        ):
            raise shortage from error
        raise _unfit(config, bundle, networks, running, error) from error
    missing = [name for name in task.metrics if name not in found.metrics]
    if missing:
        rule = f"metric_state().compute() must return every metric of the task; missing: {', '.join(missing)}"
        raise ConfigError.one("task", config.task.option, rule, code="invalid-value")
    return work


def _unfit(
    config: RunConfig, bundle: DataBundle, networks: nn.ModuleDict, running: Sequence[str], error: Exception
) -> ConfigError:
    """The refusal of the part that raised `error` on two samples: the innermost of those `running`, or the task."""
    inputs = bundle.spec.inputs
    samples = f"sample shape {inputs.shape}" if inputs.shape else describe_kind(inputs.kind)
    if not running and not config.task.target.startswith("dlexp."):
        group, remedy = "task", SEE_TRACEBACK
    elif running and running[-1] == "loss":
        group, samples = "loss", describe_kind(bundle.spec.target_kind)
        remedy = "" if config.loss.target.startswith("dlexp.") else SEE_TRACEBACK
    else:
        group, remedy = "model", _remedy(config, networks)
    target = {"task": config.task.target, "loss": config.loss.target}.get(group, config.model.target)
    layer = failing_layer(error, networks) if group == "model" else ""
    reason = told_with_line(message_of(error), error, target)
    remedy = "" if remedy and remedy in reason else remedy
    rule = f"cannot process data={config.data.option} ({samples}): {layer}{': ' if layer else ''}{reason}"
    return ConfigError.one(group, config.choices.get(group, ""), rule, remedy, code="incompatible-data")


def _remedy(config: RunConfig, networks: nn.ModuleDict) -> str:
    """Return the task that the model is for, how to process images of another size, or how to see the traceback."""
    if made_for := preferred_task(config.tree, config.task.option):
        return f"Use {made_for}"
    sides = (getattr(module, "usual_side", None) for network in networks.values() for module in network.modules())
    side = next((side for side in sides if side is not None), None)
    if side is not None and config.model.arguments.get("resize") != side:
        return f"Set model.resize={side}"
    return "" if config.model.target.startswith("dlexp.") else SEE_TRACEBACK
