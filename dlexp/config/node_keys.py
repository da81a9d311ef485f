"""Reserved keys (`_KEY_`) of a component's node: which ones dlexp reads, and which ones it rejects.

A node names a callable with `_target_`; its other keys are the arguments. Keys such as `_inputs_` declare what the
component processes, one kind or a list of them. Hydra's directives, such as `_partial_`, have no meaning here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import yaml

from dlexp.config.files.catalog import Catalog
from dlexp.config.files.yaml_files import read_yaml
from dlexp.config.schema.names import COMPONENTS
from dlexp.config.schema.tree import shown
from dlexp.errors import Problem
from dlexp.kinds import INPUTS, TARGETS, is_kind_name, kinds_of

_KNOWN = {
    *("_target_", "_inputs_", "_targets_", "_outputs_", "_metrics_", "_extra_metrics_", "_search_", "_detect_"),
    *("_tasks_", "_phases_", "_prefers_", "_range_"),
}
_REASONS = {
    "_args_": "arguments are passed by name",
    "_partial_": "components are always called",
    "_convert_": "arguments are always plain lists and mappings",
    "_recursive_": "arguments are never instantiated",
    "_self_": "it belongs in a `defaults` list",
}
_TARGET = "_target_ is only supported in the node of a group; arguments are never instantiated"
_DIRECTIVE = re.compile(r"_[A-Za-z]\w*_")
_KINDS = ("_inputs_", "_targets_")
_DETECTED = "auto"  # the kind of targets that the data source detects
_ALIKE = 0.8  # similarity from which an unknown kind is a misspelling


def hydra_key_problem(path: str, value: str, origin: str = "") -> Problem | None:
    """Return the problem of a Hydra directive such as `model._partial_`, None for other keys."""
    key = path.rpartition(".")[2]
    reason = _TARGET if key == "_target_" and path.count(".") > 1 else _REASONS.get(key)
    return (
        Problem(path, value, f"unknown configuration key: {reason}", "Remove it.", origin, code="unknown-key")
        if reason
        else None
    )


def node_key_problems(tree: Mapping[str, Any], choices: Mapping[str, str], catalog: Catalog) -> Iterator[Problem]:
    """Yield a problem for each unknown `_key_` of a component, at any depth."""
    for group in COMPONENTS:
        node = tree.get(group)
        if isinstance(node, Mapping):
            for path, value in _directives(node, group, is_node=True):
                origin = _origin(group, choices.get(group, ""), path, catalog)
                rule = f"unknown configuration key; available: {', '.join(sorted(_KNOWN))}"
                plain = Problem(path, shown(value), rule, "Remove it.", origin, code="unknown-key")
                yield hydra_key_problem(path, shown(value), origin) or plain


def works_on_problems(
    tree: Mapping[str, Any], choices: Mapping[str, str], outputs: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield the problems of the keys that name kinds of data, outputs and metrics."""
    for group in COMPONENTS:
        file = f"{group}/{choices.get(group)}.yaml"
        for aspect in _KINDS:
            given = tree[group].get(aspect)
            several = isinstance(given, list) and bool(given) and group != "data"
            for kind in given if several else [] if given is None else [given]:
                yield from _kind_problems(kind, group, aspect, tree, file)
        given = tree[group].get("_outputs_")
        if given is not None and given not in outputs:
            rule = f"must be one of {', '.join(outputs)} in {file}"
            yield Problem(f"{group}._outputs_", shown(given), rule, code="unknown-value")
    for key in ("_metrics_", "_extra_metrics_"):
        metrics = tree["task"].get(key, {})
        if not isinstance(metrics, Mapping) or not {str(way) for way in metrics.values()} <= {"min", "max"}:
            yield Problem(f"task.{key}", shown(metrics), "must map each metric to min or max", code="invalid-value")


def _kind_problems(kind: Any, group: str, aspect: str, tree: Mapping[str, Any], file: str) -> Iterator[Problem]:
    """Yield the problem of one kind that a component names."""
    if not is_kind_name(kind):
        rule = f"must name a kind of data in {file}, such as {', '.join(_known_kinds(aspect))}"
        yield Problem(f"{group}.{aspect}", shown(kind), rule, code="unknown-value")
    elif (near := _kind_meant(kind, group, aspect, tree)) is not None:
        rule = f"unknown kind of data in {file}; known: {', '.join(_known_kinds(aspect))}"
        remedy = f"Did you mean {aspect}: {near}? Name a kind of your own otherwise."
        yield Problem(f"{group}.{aspect}", shown(kind), rule, remedy, code="unknown-value")


def _kind_meant(given: Any, group: str, aspect: str, tree: Mapping[str, Any]) -> str | None:
    """The known kind that `given` is a misspelling of; None for a known kind, and for one that two components name."""
    known = _known_kinds(aspect)
    others = [kind for other in COMPONENTS if other != group for kind in kinds_of(tree[other].get(aspect))]
    if given is None or given in (*known, _DETECTED) or given in others:
        return None
    return next(iter(get_close_matches(str(given).lower(), known, n=1, cutoff=_ALIKE)), None)


def _known_kinds(aspect: str) -> tuple[str, ...]:
    return tuple(INPUTS if aspect == "_inputs_" else TARGETS)


def _directives(value: Any, path: str, *, is_node: bool) -> Iterator[tuple[str, Any]]:
    """Yield path and value of each `_key_` that has no meaning in its place; values of known ones are skipped."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _directives(item, f"{path}.{number}", is_node=False)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if is_node and key in _KNOWN:
                continue
            is_directive = _DIRECTIVE.fullmatch(str(key)) is not None
            if is_directive and (is_node or key in _REASONS or key == "_target_"):
                yield f"{path}.{key}", item
            else:
                yield from _directives(item, f"{path}.{key}", is_node=False)


def _origin(group: str, option: str, path: str, catalog: Catalog) -> str:
    """Return `file:line` of a top-level key of the option's own file, "" for other keys."""
    file = catalog.options(group).get(option)
    root = read_yaml(file.path) if file is not None else None
    if file is None or not isinstance(root, yaml.MappingNode):
        return ""
    name = path.partition(".")[2].partition(".")[0]
    lines = (key.start_mark.line + 1 for key, _ in root.value if key.value == name)
    return next((f"{file.path}:{line}" for line in lines), "")
