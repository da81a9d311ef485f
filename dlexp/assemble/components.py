"""Loss, task and networks of a configuration, each built from its node and from what the data are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from dlexp.assemble.feature_network import feature_network
from dlexp.assemble.numpy_networks import device_of
from dlexp.config.check.fitting import preferred_task, remedy_of_kinds
from dlexp.config.nodes import build, check_arguments
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import shown
from dlexp.errors import ConfigError
from dlexp.kinds import describe_kind
from dlexp.specs import DataSpec
from dlexp.tasks.base import Task
from dlexp.tasks.distillation.teacher import Teacher
from dlexp.tasks.generative.base import GenerativeTask

# Run-time values that a component of each group can take as arguments of these names.
RUNTIME_NAMES: Mapping[str, tuple[str, ...]] = {
    "data": ("anomalies",),
    "model": (
        *("input_shape", "num_outputs", "num_classes", "in_channels", "in_features", "categorical"),
        *("vocabulary_size", "max_length", "per_position", "target_max_length", "begin"),
        *("target_vocabulary_size", "levels", "target_shape"),
    ),
    "task": ("spec", "loss", "trained_teacher", "feature_network"),
    "loss": ("class_counts", "target_min", "embedding_size"),
    "optim": ("params", "hidden_matrices"),
    "scheduler": ("optimizer", "total_steps", "steps_per_epoch", "maximize"),
}


def build_loss(config: RunConfig, spec: DataSpec, trusted: Sequence[str], device: torch.device) -> object:
    """Build the loss on `device`, for data with counted classes."""
    own = {} if spec.targets is None else spec.targets.loss_arguments()
    embedding_size = config.task.arguments.get("embedding_size")
    node = config.loss
    if config.balance == "weights":
        node = replace(node, arguments={**node.arguments, "class_weights": "balanced"})
    loss = build(node, {"class_counts": (), "target_min": (), **own, "embedding_size": embedding_size}, trusted)
    return loss.to(device) if isinstance(loss, nn.Module) else loss


def build_task(
    config: RunConfig, spec: DataSpec, loss: object, trusted: Sequence[str], teacher: Teacher | None = None
) -> Task:
    """Build the task with its loss and its teacher, if any. Raises ConfigError if it is incompatible, or no Task."""
    features = feature_network(config, spec, trusted, device_of(config), _networks_of)
    own = {"spec": spec, "loss": loss, "trained_teacher": teacher, "feature_network": features}
    task: object = build(config.task, own, trusted)
    if not isinstance(task, Task):
        rule = f"must be a subclass of dlexp.tasks.base.Task, got {type(task).__name__}"
        raise ConfigError.one("task", config.task.option, rule, code="invalid-type")
    for key, declared in (("_metrics_", task.metrics), ("_extra_metrics_", task.extra_metrics)):
        given = config.tree["task"].get(key)
        if given is not None and dict(given) != dict(declared):
            known = shown(dict(declared))
            rule = f"must equal the attribute {key.strip('_')} of {config.task.target}, which is {known}"
            remedy = f"Correct it in task/{config.task.option}.yaml, or in the class."
            raise ConfigError.one(f"task.{key}", shown(given), rule, remedy, code="invalid-value")
    return task


def with_kinds(config: RunConfig, spec: DataSpec) -> dict[str, Any]:
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


def build_model(config: RunConfig, spec: DataSpec, task: Task, trusted: Sequence[str]) -> object:
    """Build the model. Raises ConfigError if it requires an argument that only other kinds of data have."""
    given = _model_arguments(spec, task)
    named = {problem.where.partition(".")[2] for problem in check_arguments(config.model, tuple(given), trusted)}
    if lacking := [name for name in RUNTIME_NAMES["model"] if name in named and name not in config.model.arguments]:
        kind = describe_kind(spec.inputs.kind)
        rule = f"requires {' and '.join(lacking)}; data={config.data.option} has {kind}"
        remedy = remedy_of_kinds(with_kinds(config, spec), "model", (), "_inputs_")
        remedy = remedy or f"Use a model for {kind}, or other data."
        raise ConfigError.one("model", config.model.option, rule, remedy, code="incompatible-data")
    return build(config.model, given, trusted)


def _networks_of(config: RunConfig, spec: DataSpec, trusted: Sequence[str]) -> nn.ModuleDict:
    """Return the networks of a run, with random weights, on the CPU."""
    task = build_task(config, spec, build_loss(config, spec, trusted, torch.device("cpu")), trusted)
    return named_networks(config, build_model(config, spec, task, trusted), task)


def named_networks(config: RunConfig, built: object, task: Task) -> nn.ModuleDict:
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
