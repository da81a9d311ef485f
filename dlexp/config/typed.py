"""A checked configuration as one typed object, and the same object with some of its values replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlexp.config.check.batch_size import AUTO, is_auto
from dlexp.config.check.validate import directions
from dlexp.config.schema.names import COMPONENTS
from dlexp.config.schema.regularization import RegularizationConfig
from dlexp.config.schema.run import OWN_KEYS, LoggerConfig, Node, RunConfig, TrainerConfig, section_from
from dlexp.config.schema.tree import ABSENT, shown, value_at
from dlexp.errors import ConfigError

_ANY_RATE = 1e-3


def run_config(tree: Mapping[str, Any], choices: Mapping[str, str], kept: Mapping[str, Any]) -> RunConfig:
    """The typed view of a checked tree; `kept` is the form of it that may be written down."""
    monitor = tree["trainer"]["monitor"] or tree["task"]["monitor"]
    nodes = {group: _node(group, choices.get(group, "?"), tree[group]) for group in COMPONENTS}
    return RunConfig(
        seed=tree["seed"],
        deterministic=tree["deterministic"],
        init_from=tree["init_from"],
        init_head=tree["init_head"],
        init_strict=tree["init_strict"],
        name=tree["name"],
        data=nodes["data"],
        model=nodes["model"],
        task=nodes["task"],
        loss=nodes["loss"],
        optim=nodes["optim"],
        scheduler=nodes["scheduler"],
        batch_size=0 if is_auto(tree) else tree["data"]["batch_size"],
        eval_batch_size=tree["data"]["eval_batch_size"],
        decay_norms_and_biases=tree["optim"]["decay_norms_and_biases"],
        layer_decay=tree["optim"]["layer_decay"],
        optim_groups=tuple(tree["optim"]["groups"]),
        optim_phases=tree["optim"].get("phases", {}),
        scheduler_phases=tree["scheduler"].get("phases", {}),
        regularization=section_from(RegularizationConfig, tree["regularization"]),
        trainer=section_from(TrainerConfig, tree["trainer"]),
        logger=section_from(LoggerConfig, tree["logger"]),
        monitor=monitor,
        maximize=directions(tree).get(monitor) == "max",
        choices=dict(choices),
        tree=kept,
        resolved=tree,
    )


def with_values(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """`config` with other values, which must keep the rules of their keys, under dotted paths that it has.

    Raises ConfigError for a path that it has not: a trial of a study was made with a key that is gone.
    """
    for path, value in values.items():
        if value_at(config.tree, path) is ABSENT:
            raise ConfigError.one(path, shown(value), "is no key of this configuration", code="unknown-key")
    return run_config(_replaced(config.resolved, values), config.choices, _replaced(config.tree, values))


def _node(group: str, option: str, values: Mapping[str, Any]) -> Node:
    own = OWN_KEYS.get(group, ())
    arguments = {key: value for key, value in values.items() if key not in own and not key.startswith("_")}
    return Node(group, option, str(values["_target_"]), arguments)


def _replaced(tree: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `tree` with new values; what is not on their paths is shared."""
    copy = dict(tree)
    for path, value in values.items():
        head, _, rest = path.partition(".")
        copy[head] = _replaced(copy[head], {rest: value}) if rest else value
    return copy


def with_placeholder_rate(config: RunConfig) -> RunConfig:
    """`config` with some learning rate where it said auto: to build everything without looking for the right one."""
    return with_values(config, {"optim.lr": _ANY_RATE}) if config.optim.arguments.get("lr") == AUTO else config
