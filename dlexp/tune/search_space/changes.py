"""What a changed space means for the trials that a study already has: told, or refused with the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dlexp.errors import Problem
from dlexp.tune.search_space.space import Dimension, Space, in_words

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_FIXED = {  # what one study cannot have in two ways
    "kind": "the kind of range changed; it was",
    "log": "the scale changed; it was",
    "choices": "the choices changed; they were",
}


@dataclass
class Changes:
    """Sentences about what is allowed, and problems for what is not."""

    notes: list[str] = field(default_factory=list)
    refused: list[Problem] = field(default_factory=list)

    def refuse(self, key: str, given: str, rule: str, study: str) -> None:
        """One study cannot mix before and after; another one can take over what fits."""
        remedy = f"--name NEW --migrate {study} makes a new study with the trials that fit"
        self.refused.append(Problem(f"search.space.{key}", given, rule, remedy, code="incompatible-run"))


def changes(before: Space, after: Space, retired: Sequence[Dimension], study: StudyFacts) -> Changes:
    """Classify every difference between two spaces of one study.

    retired  dimensions that earlier trials had, and `before` had no longer
    """
    found = Changes()
    for group in dict.fromkeys((*before.groups, *after.groups)):
        was, now = (", ".join(space.groups.get(group, ())) or "not searched" for space in (before, after))
        if was != now:
            found.refuse(group, now, f"the choices changed; they were {was}", study.name)
    old, new = ({d.name: d for d in space.dimensions} for space in (before, after))
    gone = {dimension.name: dimension for dimension in retired}
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            found.notes.append(f"{name} is no longer searched: new trials have it as written, earlier ones varied it")
        elif name not in old:
            found.notes.append(f"{name} is searched from now on: earlier trials had it as written")
        earlier = old.get(name, gone.get(name))
        if name in new and earlier is not None and earlier != new[name]:
            _compare(earlier, new[name], study, found)
    return found


@dataclass(frozen=True)
class StudyFacts:
    """What of a study a change must be held against: its name, and the parameters of every trial, planned ones too."""

    name: str
    params: Sequence[Mapping[str, Any]]


def planned(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a trial, with those that it was queued for and has not drawn yet."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def _compare(was: Dimension, now: Dimension, study: StudyFacts, found: Changes) -> None:
    """One dimension under two definitions."""
    key, text = now.path if not now.branch else f"{now.path} (with {now.branch})", in_words(now)
    for what, told in _FIXED.items():
        if getattr(was, what) != getattr(now, what):
            found.refuse(key, text, f"{told} {in_words(was)}", study.name)
            return
    step_kept = now.step == was.step or now.step is None
    if step_kept and now.low <= was.low and now.high >= was.high and _same_start(was, now):
        found.notes.append(f"{now.name} is wider: {in_words(was)} -> {text}; earlier trials are kept")
        return
    outside = [params for params in study.params if params.keys() & set(now.names) and not _holds(now, params)]
    if outside:
        trials = "1 trial lies" if len(outside) == 1 else f"{len(outside)} trials lie"
        found.refuse(key, text, f"{trials} outside; it was {in_words(was)}", study.name)
    else:
        found.notes.append(f"{now.name} is another range: {in_words(was)} -> {text}; no earlier trial lies outside")


def _same_start(was: Dimension, now: Dimension) -> bool:
    """Whether the steps of a wider range still meet the values of the old one."""
    return now.step is None or bool(now.encode(was.low))


def _holds(dimension: Dimension, params: Mapping[str, Any]) -> bool:
    return params.keys() >= set(dimension.names) and bool(dimension.encode(dimension.decode(params)))
