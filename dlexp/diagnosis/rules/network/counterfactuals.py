"""Trials of several changes, of which the best one is a remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

from dlexp.diagnosis.case import Case, NetworkChange, Outcome, Start, Twin
from dlexp.diagnosis.rules.trials import loss_of
from dlexp.diagnosis.verdict import Evidence

_WORSE = 1.05  # of the validation loss: a change that costs more there is no remedy


@dataclass(frozen=True)
class Option:
    """A change that may be a remedy.

    Attributes:
        words: Overrides; () for a change that no word makes.
        change: That change.
        start: The weights that it begins with.
    """

    words: tuple[str, ...] = ()
    change: NetworkChange | None = None
    start: Start = "initial"

    @property
    def text(self) -> str:
        """What is changed, as an end of a sentence."""
        return f"with {' '.join(self.words)}" if self.change is None else self.change.name


@dataclass(frozen=True)
class Proof:
    """A change that lowers the losses of a trial.

    Attributes:
        option: The change.
        ratio: Training loss with it by that of the run itself after as many updates.
        after: What was measured after the updates.
        own: What was measured of the run itself.
    """

    option: Option
    ratio: float
    after: Outcome
    own: Outcome | None

    def evidence(self, limit: float) -> Evidence:
        """The ratio of the losses."""
        measure = f"training loss {self.option.text}, by that of the run after as many updates"
        return Evidence(measure, self.ratio, limit, "below", is_trial=True)


def best_proof(case: Case, options: Iterable[Option], limit: float) -> Proof | None:
    """The change with the lowest validation loss, of those whose training loss is below `limit` times that of the run.

    Its validation loss is not above that of the run. None if no change is as good.
    """
    found: list[tuple[float, Proof]] = []
    for option in options:
        own, other = case.twin(start=option.start), trial_of(case, option)
        before, after = loss_of(own, "train"), loss_of(other, "train")
        if other.after is None or not isfinite(after) or after >= limit * before:
            continue
        val = loss_of(other, "val")
        if val <= _WORSE * loss_of(own, "val"):
            ratio = after / before if isfinite(before) and before > 0 else 0.0
            found.append((val, Proof(option, ratio, other.after, own.after)))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def trial_of(case: Case, option: Option) -> Twin:
    """The trial of a change."""
    if option.change is None:
        return case.twin(*option.words, start=option.start)
    return case.twin(*option.words, start=option.start, change=option.change)


def slower(case: Case) -> list[Option]:
    """A tenth of the learning rate, where it is a number."""
    rate = case.facts.number("optim.lr")
    return [] if rate is None else [Option((f"optim.lr={rate / 10:.3g}",))]


def other_values(case: Case, key: str, values: Sequence[str], start: Start = "initial") -> list[Option]:
    """Other values of a key that the run has."""
    if key not in case.facts.settings:
        return []
    return [Option((f"{key}={value}",), start=start) for value in values if value != str(case.facts.settings[key])]
