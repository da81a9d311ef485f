"""What trials say, in numbers that rules compare.

All comparisons are of losses by the drop from the loss without knowledge: shares of what can be learned, which do not
depend on the scale of a loss or on where its floor is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isfinite

from dlexp.diagnosis.case import Case, NetworkChange, OutputMeasure, Start, Twin
from dlexp.diagnosis.verdict import Evidence

_TINY = 1e-12
_OF_VAL = 3.0
_BETTER = 0.05  # of the drop of the best trial so far: a further one that saves less changes nothing


@dataclass(frozen=True)
class Reached:
    """The losses that weights have reached, of training and validation samples; infinite where they failed."""

    train: float
    val: float


@dataclass(frozen=True)
class Attempt:
    """A trial: its words, the losses that it reached, its lead over the run, and a change that no word makes."""

    words: tuple[str, ...]
    reached: Reached
    lead: float
    change: str = ""

    @property
    def loss(self) -> float:
        """Training and validation loss together, by which trials are ranked."""
        return self.reached.train + self.reached.val


def loss_of(twin: Twin, split: str = "train") -> float:
    """The loss over samples of a split after the updates of a trial; infinite if it failed or is not finite."""
    if twin.after is None or twin.trace is None or twin.trace.failed_at is not None:
        return inf
    return _loss(twin.after.train if split == "train" else twin.after.val)


def reached_by(twin: Twin) -> Reached:
    """The last training loss and the best validation loss of a trial, as of a run."""
    if twin.after is None or twin.trace is None or twin.trace.failed_at is not None:
        return Reached(inf, inf)
    known = [row["val/loss"] for row in twin.trace.epochs if isfinite(row.get("val/loss", inf))]
    return Reached(_loss(twin.after.train), min([*known, _loss(twin.after.val)]))


def reached_by_run(case: Case) -> Reached:
    """The last training loss and the best validation loss of a run; before a run, those of a trial without changes."""
    if case.history is None or case.end is None:
        return reached_by(case.twin())
    known = [value for value in case.history.of("val/loss") if isfinite(value)]
    return Reached(_loss(case.end.train), min([*known, _loss(case.end.val)]))


def without_knowledge(case: Case) -> Reached:
    """The losses of constant predictions, or those before training where no constant is known.

    Weights that were trained before know something at the start, so that their first loss is no measure of a good one.
    """
    start = case.start or case.twin().before
    if start is None:
        return Reached(inf, inf)
    return Reached(_chance(case, start.train), _chance(case, start.val))


def base_name(case: Case) -> str:
    """What the loss of `without_knowledge` is of, in words."""
    known = case.constant_loss is not None and isfinite(case.constant_loss)
    return "that of constant predictions" if known else "that before training"


def lead(case: Case, trial: Reached, run: Reached) -> float:
    """What of the drop of a trial, from the loss without knowledge, the run has not reached.

    That of the training loss, and at most three times that of the validation loss, which need not fall as much.
    0 for equal losses, 1 for a run that has learned nothing or less than that; -inf for a trial that failed or
    learned nothing.
    """
    base = without_knowledge(case)
    shares = []
    for its, own, least in ((trial.train, run.train, base.train), (trial.val, run.val, base.val)):
        if not isfinite(its) or not its < least:
            return -inf
        ceiling = least if isfinite(least) else max(own, its)
        drop = max(ceiling - its, _TINY)
        shares.append(min(1.0, (own - its) / drop) if isfinite(own) else 1.0)
    of_train, of_val = shares
    return min(of_train, _OF_VAL * of_val)


def attempt(
    case: Case, words: Sequence[str], run: Reached, start: Start = "initial", updates: int | None = None
) -> Attempt:
    """A trial with `words`, compared with what the run reached."""
    reached = reached_by(case.twin(*words, start=start, updates=updates))
    return Attempt(tuple(words), reached, lead(case, reached, run))


def changed_attempt(case: Case, change: NetworkChange, run: Reached) -> Attempt:
    """A trial with a change that no word makes, compared with what the run reached."""
    reached = reached_by(case.twin(change=change))
    return Attempt((), reached, lead(case, reached, run), change.name)


def best_attempt(
    case: Case,
    all_words: Iterable[tuple[str, ...]],
    run: Reached,
    start: Start = "initial",
    *,
    prefers_later: bool = False,
) -> Attempt | None:
    """The best of some trials in turn, ended by the first that is no better than one before; None if none leads.

    With `prefers_later` one that is about as good as the best before it is taken.
    """
    best: Attempt | None = None
    lowest, base = inf, without_knowledge(case)
    for words in all_words:
        made = attempt(case, words, run, start)
        least = 0.0 if best is None else _BETTER * (base.train + base.val - lowest)
        if made.lead > 0 and (best is None or made.loss < lowest + (least if prefers_later else -least)):
            best, lowest = made, min(lowest, made.loss)
        elif best is not None:
            break
    return best


def trial_evidence(made: Attempt, limit: float) -> Evidence:
    """The lead of a trial as evidence."""
    changed = made.change or f"with {' '.join(made.words) or 'more updates'}"
    return Evidence(
        f"training and validation loss {changed}: share of their drop that the run does not reach",
        made.lead,
        limit,
        is_trial=True,
    )


def _chance(case: Case, output: OutputMeasure) -> float:
    constant = case.constant_loss
    return _loss(output) if constant is None or not isfinite(constant) else constant


def _loss(output: OutputMeasure) -> float:
    loss = output.metrics.get("loss", inf)
    return loss if isfinite(loss) else inf
