"""Conversion of a checked configuration to a typed RunConfig, and replacement of its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlexp.config.check.batch_size import AUTO, is_auto
from dlexp.config.check.metrics import directions, requests_of
from dlexp.config.schema.compression import CompressionConfig
from dlexp.config.schema.names import COMPONENTS
from dlexp.config.schema.regularization import RegularizationConfig
from dlexp.config.schema.run import OWN_KEYS, LoggerConfig, Node, RunConfig, TrainerConfig, section_from
from dlexp.config.schema.tree import ABSENT, shown, value_at
from dlexp.errors import ConfigError

_PLACEHOLDER_RATE = 1e-3


def run_config(tree: Mapping[str, Any], choices: Mapping[str, str], kept: Mapping[str, Any]) -> RunConfig:
    """Return the RunConfig of a checked tree.

    Args:
        tree: The resolved configuration.
        choices: Group -> option.
        kept: The configuration with secrets unresolved, which may be saved.
    """
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
        balance=tree["data"].get("balance", "none"),
        drops_suspected_labels=tree["data"].get("suspected_labels") == "drop",
        anomalies=tuple(tree["data"].get("anomalies") or ()),
        anomaly_quantile=tree["task"].get("anomaly_quantile"),
        decay_norms_and_biases=tree["optim"]["decay_norms_and_biases"],
        layer_decay=tree["optim"]["layer_decay"],
        optim_groups=tuple(tree["optim"]["groups"]),
        optim_phases=tree["optim"].get("phases", {}),
        scheduler_phases=tree["scheduler"].get("phases", {}),
        regularization=section_from(RegularizationConfig, tree["regularization"]),
        compression=section_from(CompressionConfig, tree["compression"]),
        trainer=section_from(TrainerConfig, tree["trainer"]),
        logger=section_from(LoggerConfig, tree["logger"]),
        monitor=monitor,
        maximize=directions(tree).get(monitor) == "max",
        metrics=requests_of(tree),
        choices=dict(choices),
        tree=kept,
        resolved=tree,
    )


def with_values(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Return `config` with some values replaced; values are not checked.

    Args:
        config: The configuration.
        values: Dotted path -> valid value.

    Raises ConfigError for an unknown path, such as that of a trial of an older study.
    """
    for path, value in values.items():
        if value_at(config.tree, path) is ABSENT:
            raise ConfigError.one(path, shown(value), "unknown configuration key", code="unknown-key")
    return run_config(_replaced(config.resolved, values), config.choices, _replaced(config.tree, values))


def _node(group: str, option: str, values: Mapping[str, Any]) -> Node:
    own = OWN_KEYS.get(group, ())
    arguments = {key: value for key, value in values.items() if key not in own and not key.startswith("_")}
    return Node(group, option, str(values["_target_"]), arguments)


def _replaced(tree: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of `tree` with new values; other branches are shared."""
    copy = dict(tree)
    for path, value in values.items():
        head, _, rest = path.partition(".")
        copy[head] = _replaced(copy[head], {rest: value}) if rest else value
    return copy


def with_placeholder_rate(config: RunConfig) -> RunConfig:
    """Return `config` with a placeholder learning rate instead of auto, to build an experiment without a search."""
    return with_values(config, {"optim.lr": _PLACEHOLDER_RATE}) if config.optim.arguments.get("lr") == AUTO else config
