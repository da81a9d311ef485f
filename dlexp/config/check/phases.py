"""Values for one phase of a task: optim.phases.PHASE.KEY and scheduler.phases.PHASE.KEY. All without torch.

A phase takes from `optim` and `scheduler` every value that it does not set itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dlexp.config.origins import Origins
from dlexp.config.schema.fields import Field
from dlexp.config.schema.tree import shown
from dlexp.errors import ConfigError, Problem
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import setting

_GROUPS = ("optim", "scheduler")
_SHARED = {
    "groups": "Set optim.groups: its patterns select the parameters of a phase by name",
    "layer_decay": "Set optim.layer_decay for all phases.",
}
PHASE = re.compile(r"(?:optim|scheduler)\.phases\.[^.]+")
_NOUNS = {"optim": "an optimizer", "scheduler": "a schedule"}
_EXAMPLES = {"optim": "lr=0.01", "scheduler": "warmup_epochs=1"}
_PAIRS = ("betas", "adamw_betas")


def shared_key(path: str) -> str:
    """`optim.lr` for `optim.phases.critic.lr`: the key whose value the phase replaces; "" for any other path."""
    group, _, rest = path.partition(".phases.")
    key = rest.partition(".")[2]
    return f"{group}.{key}" if group in _GROUPS and key else ""


def phase_rules(tree: Mapping[str, Any], known: Mapping[str, Field]) -> dict[str, Field]:
    """Dotted path -> rule of every value that a phase has in `tree`; `known` has those of the shared keys."""
    refused = (*_SHARED, "phases")
    paths = [path for path, _ in _values(tree) if path.rpartition(".")[2] not in refused]
    found = {path: known.get(shared_key(path)) for path in paths}
    return {path: field for path, field in found.items() if field is not None}


def inherited_key(path: str, tree: Mapping[str, Any]) -> str:
    """`optim.lr` for `optim.phases.train.lr`, where the phase `train` exists and sets no `lr`; "" for any other path.

    Raises ConfigError for a phase or a key that does not exist.
    """
    shared = shared_key(path)
    if not shared:
        return ""
    group, phase, key = path.partition(".")[0], path.split(".")[2], path.split(".", 3)[3]
    phases = tree["task"].get("_phases_")
    if isinstance(phases, list) and phase not in phases:
        where = f"{group}.phases.{phase}"
        known = {name: f"{group}.phases.{name}.{key}" for name in phases}
        raise ConfigError([_unknown(where, "", "phase", phase, known)])
    if key in _SHARED:
        raise ConfigError([Problem(path, "", "not supported for a single phase", _SHARED[key], code="not-supported")])
    if key not in tree[group] or key.startswith("_") or key == "phases":
        raise ConfigError([unknown_in_phase(path, "", tree[group])])
    return shared


def phase_problems(tree: Mapping[str, Any], origins: Origins) -> Iterator[Problem]:
    """Phases that the task does not have, and keys that the optimizer or the schedule does not have."""
    phases = tree["task"].get("_phases_")
    if phases is not None and not (isinstance(phases, list) and all(isinstance(name, str) for name in phases)):
        yield Problem("task._phases_", shown(phases), "must be a list of names", code="invalid-type")
        return
    for group in _GROUPS:
        for phase, values in _phases(tree, group):
            where = f"{group}.phases.{phase}"
            if phases is not None and phase not in phases:
                yield _unknown(where, "", "phase", phase, {name: f"{group}.phases.{name}" for name in phases})
            elif not isinstance(values, Mapping):
                remedy = f"Set one of its keys: {where}.KEY=VALUE"
                yield Problem(where, shown(values), "must be a mapping", remedy, code="invalid-type")
    for path, value in _values(tree):
        group, key = path.partition(".")[0], path.split(".", 3)[3]
        if key in _SHARED:
            rule = "not supported for a single phase"
            yield Problem(path, shown(value), rule, _SHARED[key], origins.text(path, value), code="not-supported")
        elif key not in tree[group] or key.startswith("_") or key == "phases":
            yield unknown_in_phase(path, shown(value), tree[group], origins.text(path, value))


def unknown_in_phase(path: str, value: str, keys: Iterable[str], origin: str = "") -> Problem:
    """The problem of a key of a phase that is none of `keys`, those of its optimizer or schedule."""
    where, _, key = path.rpartition(".")
    allowed = [key for key in keys if not key.startswith("_") and key not in (*_SHARED, "phases")]
    return _unknown(path, value, "configuration key", key, {name: f"{where}.{name}" for name in allowed}, origin)


def phase_without_key(path: str, value: Any, origin: str = "") -> Problem:
    """The problem of `optim.phases.critic=sgd`: a phase has values of its own and no option of its own."""
    group, what = path.partition(".")[0], shown(value)
    chosen = f"{setting(group, value)} " if isinstance(value, str) and re.fullmatch(r"[A-Za-z]\w*", value) else ""
    rule = f"a phase has values of its own, not {_NOUNS[group]} of its own: {group}=OPTION is for all phases"
    remedy = f"Set its keys: {chosen}{path}.{_EXAMPLES[group]}"
    return Problem(path, what, rule, remedy, origin, code="unknown-key")


def phase_combinations(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Values of a phase that cannot be combined with others."""
    for phase, values in _phases(tree, "optim"):
        for key in _PAIRS:
            if len(values.get(key, (0, 0))) != 2:
                yield Problem(
                    f"optim.phases.{phase}.{key}", shown(values[key]), "must be two numbers", code="invalid-value"
                )
        if "auto" in (rate := values.get("lr"), tree["optim"].get("lr")) and rate is not None:
            rule = "a learning rate of one phase cannot be combined with optim.lr=auto"
            remedy = "Set both to numbers."
            if rate == "auto":
                rule, remedy = "must be a number > 0; auto is not supported for a single phase", "Use a number."
            yield Problem(f"optim.phases.{phase}.lr", shown(rate), rule, remedy, code="cannot-combine")
    for phase, values in _phases(tree, "scheduler"):
        both = {**tree["scheduler"], **values}
        if both.get("warmup_steps") is not None and both.get("warmup_epochs"):
            where = f"scheduler.phases.{phase}"
            rule = "cannot be combined with warmup_epochs: both give the length of the warm-up"
            remedy = f"Set {where}.warmup_epochs=0"
            yield Problem(f"{where}.warmup_steps", shown(both["warmup_steps"]), rule, remedy, code="cannot-combine")


def _phases(tree: Mapping[str, Any], group: str) -> Iterator[tuple[str, Any]]:
    phases = tree[group].get("phases")
    for phase, values in phases.items() if isinstance(phases, Mapping) else ():
        yield str(phase), values


def _values(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted path and value of everything that a phase sets."""
    for group in _GROUPS:
        for phase, values in _phases(tree, group):
            for key, value in values.items() if isinstance(values, Mapping) else ():
                yield f"{group}.phases.{phase}.{key}", value


def _unknown(path: str, value: str, kind: str, word: str, names: Mapping[str, str], origin: str = "") -> Problem:
    near = nearest_name(word, names)
    remedy = f"Did you mean {names[near]}?" if near else f"Available: {', '.join(names)}"
    return Problem(path, value, f"unknown {kind}", remedy, origin, code="unknown-key")
