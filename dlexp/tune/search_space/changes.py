"""Changes of the search space of an existing study: allowed with a note, or refused with a remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dlexp.errors import Problem
from dlexp.tune.search_space.space import Dimension, Space, in_words

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_FIXED = {  # properties that must be the same for all trials of a study
    "kind": "the kind of range cannot change; it was",
    "log": "the scale cannot change; it was",
    "choices": "the choices cannot change; they were",
}


@dataclass
class SpaceChanges:
    """Notes on allowed changes, and problems for others."""

    notes: list[str] = field(default_factory=list)
    refused: list[Problem] = field(default_factory=list)

    def refuse(self, key: str, given: str, rule: str, study: str) -> None:
        """Add a problem; the remedy is a new study that copies compatible trials."""
        remedy = f"Create a new study with the compatible trials: --name NEW --migrate {study}"
        self.refused.append(Problem(f"search.space.{key}", given, rule, remedy, code="incompatible-run"))


def classify_changes(before: Space, after: Space, retired: Sequence[Dimension], study: StudyParameters) -> SpaceChanges:
    """Classify the differences between two search spaces of a study.

    Args:
        before: The previous space.
        after: The new space.
        retired: Dimensions of earlier trials that are not in `before`.
        study: Name and trials of the study.
    """
    found = SpaceChanges()
    for group in dict.fromkeys((*before.groups, *after.groups)):
        was, now = (", ".join(space.groups.get(group, ())) or "not searched" for space in (before, after))
        if was != now:
            found.refuse(group, now, f"the choices cannot change; they were {was}", study.name)
    old, new = ({d.name: d for d in space.dimensions} for space in (before, after))
    gone = {dimension.name: dimension for dimension in retired}
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            found.notes.append(f"{name} is no longer searched: new trials use its baseline value")
        elif name not in old:
            found.notes.append(f"{name} is now searched: earlier trials used its baseline value")
        earlier = old.get(name, gone.get(name))
        if name in new and earlier is not None and earlier != new[name]:
            _compare(earlier, new[name], study, found)
    return found


@dataclass(frozen=True)
class StudyParameters:
    """The name of a study and the parameters of all its trials, including queued ones."""

    name: str
    params: Sequence[Mapping[str, Any]]


def planned(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a trial, including queued ones that are not drawn yet."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def _compare(was: Dimension, now: Dimension, study: StudyParameters, found: SpaceChanges) -> None:
    """Classify the change of one dimension."""
    key, text = now.path if not now.branch else f"{now.path} (with {now.branch})", in_words(now)
    for what, rule in _FIXED.items():
        if getattr(was, what) != getattr(now, what):
            found.refuse(key, text, f"{rule} {in_words(was)}", study.name)
            return
    step_kept = now.step == was.step or now.step is None
    if step_kept and now.low <= was.low and now.high >= was.high and _same_start(was, now):
        found.notes.append(f"{now.name} was extended: {in_words(was)} -> {text}; earlier trials are kept")
        return
    outside = [params for params in study.params if params.keys() & set(now.names) and not _holds(now, params)]
    if outside:
        trials = "1 trial is" if len(outside) == 1 else f"{len(outside)} trials are"
        found.refuse(key, text, f"{trials} outside this range; it was {in_words(was)}", study.name)
    else:
        found.notes.append(f"{now.name} was changed: {in_words(was)} -> {text}; all earlier trials are inside")


def _same_start(was: Dimension, now: Dimension) -> bool:
    """Return whether the steps of an extended range include the values of the old one."""
    return now.step is None or bool(now.encode(was.low))


def _holds(dimension: Dimension, params: Mapping[str, Any]) -> bool:
    return params.keys() >= set(dimension.names) and bool(dimension.encode(dimension.decode(params)))
