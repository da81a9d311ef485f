"""Training that is too short, stands still, or makes too few updates."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from dlexp.diagnosis.case import Case
from dlexp.diagnosis.rules.optimization.schedules import SPENT, other_schedule, rate_left
from dlexp.diagnosis.rules.trials import (
    Attempt,
    Reached,
    attempt,
    reached_by,
    reached_by_run,
    trial_evidence,
    without_knowledge,
)
from dlexp.diagnosis.verdict import Evidence, Verdict
from dlexp.findings import counted

_AFFORDABLE = 6  # lengths of a usual trial that a longer one takes at most
_SETTLED = 0.05  # share of the loss without knowledge below which nothing is worth mending
_STEADY = 0.03  # of the drop so far: a validation loss that fell by less in the last third has come to its end
_LEAD, _SMALL_LEAD = 0.15, 0.03  # of a trial, by its drop: a warning, and a note
_WHOLE_LEAD = 0.08  # where more than half of the split is one update: a second sign of its own
_SHORT_PATIENCE = 5  # epochs; the noise of a validation loss is longer than that in many runs
_FEW_UPDATES = 5  # of an epoch
_FLAT = 0.02  # of the drop of the whole training loss, in its last third


def stopped_too_soon(case: Case) -> Iterator[Verdict]:
    """A validation loss that still falls at the end, and a longer training that reaches more."""
    history = case.history
    if history is None or not history.epochs or case.end is None or history.ending not in ("finished", "stopped early"):
        return
    run, base = reached_by_run(case), without_knowledge(case)
    if not isfinite(run.val) or run.val < _SETTLED * base.val:
        return
    verdict = _by_patience(case, run) if history.ending == "stopped early" else _by_epochs(case, run, base)
    if verdict is not None:
        yield verdict


def plateau_of_loss(case: Case) -> Iterator[Verdict]:
    """A training loss that stands still far above what another schedule reaches from the stored weights."""
    history = case.history
    if history is None or history.epochs < 6 or case.end is None or case.first is None:
        return
    run, base = reached_by_run(case), without_knowledge(case)
    losses = history.of("train/loss")
    third = history.epochs // 3
    fall = _mean(losses[-2 * third : -third]) - _mean(losses[-third:])
    drop = max(base.train - _mean(losses[-third:]), 1e-12)
    flat = fall / drop
    spent = rate_left(history.of("lr"))
    if not isfinite(flat) or flat > _FLAT or run.train < _SETTLED * base.train:
        return
    words = other_schedule(case)
    if not words and spent > SPENT:
        return
    made = attempt(case, words, run, "stored")
    if made.lead < _LEAD:
        return
    what = "fall of the training loss in the last third of the epochs, by the drop"
    evidence = [Evidence(what, flat, _FLAT, "below")]
    if spent < SPENT:
        what = "learning rate in the median epoch of the second half, by the largest"
        evidence.append(Evidence(what, spent, SPENT, "below"))
    yield Verdict(
        "plateau",
        "warning",
        "The training loss stands still, though the network can learn more.",
        (*evidence, trial_evidence(made, _LEAD)),
        "The schedule has lowered the learning rate before the network has learned."
        if spent < SPENT
        else "At this learning rate the weights move around without getting closer.",
        words,
        confidence=0.8 if spent < SPENT else 0.5,
        source="slope of the loss, and a trial from the stored weights",
    )


def batch_too_large(case: Case) -> Iterator[Verdict]:
    """A few updates an epoch, where smaller batches of as many samples reach more."""
    facts, count = case.facts, len(case.bundle.splits["train"])
    accumulate = int(facts.number("trainer.accumulate") or 1)
    if facts.updates_per_epoch > _FEW_UPDATES or facts.batch_size * accumulate < 16 or count < 16:
        return
    run, base = reached_by_run(case), without_knowledge(case)
    if run.train < _SETTLED * base.train:
        return
    size = smaller_batch(count)
    words = [f"data.batch_size={size}"] if facts.batch_size > size else []
    words += ["trainer.accumulate=1"] if accumulate > 1 else []
    if not words:
        return
    share = facts.batch_size * accumulate / count
    updates, is_whole = min(facts.epochs * -(-count // size), _AFFORDABLE * _trial_length(case)), True
    if case.history is None:  # nothing is known of the end of a run that is to begin: both read as many samples
        own = min(facts.updates, _trial_length(case))
        run, is_whole = reached_by(case.twin(updates=own)), own == facts.updates
        updates = min(updates, -(-own * facts.batch_size * accumulate // min(size, facts.batch_size)))
    made = attempt(case, words, run, updates=updates)
    limit = _WHOLE_LEAD if share > 0.5 else _LEAD
    if made.lead < limit / 2:
        return
    is_clear = made.lead >= limit and is_whole  # early in a run smaller batches always lead
    yield Verdict(
        "batch_too_large",
        "warning" if is_clear else "note",
        f"An epoch has {counted(facts.updates_per_epoch, 'update')} of {facts.batch_size * accumulate} samples.",
        (
            Evidence("samples of an update, share of the training split", min(1.0, share), 1 / _FEW_UPDATES),
            Evidence("updates of an epoch", facts.updates_per_epoch, _FEW_UPDATES, "below"),
            trial_evidence(made, limit if is_clear else limit / 2),
        ),
        "Few updates are made with the samples that are read; smaller batches make more of them.",
        tuple(words),
        confidence=0.9 if is_clear else 0.5,
        source="updates an epoch, and a trial with smaller batches and no more epochs",
    )


def smaller_batch(count: int) -> int:
    """A power of two, such that an epoch of `count` samples has about 20 updates or the batch 64 samples."""
    size = 8
    while size < 64 and size * 2 <= count / 16:
        size *= 2
    return size


def _by_epochs(case: Case, run: Reached, base: Reached) -> Verdict | None:
    facts, history = case.facts, case.history
    assert history is not None
    values = [v for v in history.of("val/loss") if isfinite(v)]
    third = max(1, len(values) // 3)
    begun = max(base.val, values[0]) if values else base.val  # later values of a series may have another constant loss
    before = values[-third - 1] if len(values) > third else begun
    late = (before - min(values[-third:])) / max(begun - run.val, 1e-12)
    if late < _STEADY and run.val < 0.9 * begun:
        return None
    length = 2 if facts.updates >= 2 * _trial_length(case) else 4
    words = (f"trainer.epochs={length * facts.epochs}",)
    made = _longer(case, words, run, length * facts.updates)
    if made.lead < _SMALL_LEAD:
        return None
    is_clear = made.lead >= _LEAD and late >= _STEADY
    epochs = f"{facts.epochs} epochs" if facts.epochs > 1 else "one epoch"
    falls = late >= _STEADY
    rest = "while the validation loss still falls" if falls else "before the validation loss has come down"
    fall = "fall of the validation loss in the last third of the epochs, by the whole drop"
    return Verdict(
        "stopped_too_soon",
        "warning" if is_clear else "note",
        f"Training ends after {epochs}, {rest}.",
        (
            Evidence(fall, late, _STEADY)
            if falls
            else Evidence("validation loss by that at the start", run.val / begun, 0.9),
            trial_evidence(made, _LEAD if is_clear else _SMALL_LEAD),
        ),
        "There were too few updates for this learning rate and network.",
        words,
        confidence=min(0.85, 0.5 + made.lead) if is_clear else 0.35,
        epoch=history.epochs,
        source="slope of the validation loss, and a longer trial",
    )


def _by_patience(case: Case, run: Reached) -> Verdict | None:
    history, key = case.history, "regularization.early_stopping.patience"
    patience = case.facts.number(key)
    if history is None or patience is None or patience > _SHORT_PATIENCE:
        return None
    words = (f"{key}={max(10, 3 * int(patience))}",)
    made = _longer(case, words, run, case.facts.updates)
    if made.lead < _SMALL_LEAD:
        return None
    is_clear = made.lead >= _LEAD / 2
    return Verdict(
        "stopped_too_soon",
        "warning" if is_clear else "note",
        f"Early stopping ended the run after {history.epochs} of {case.facts.epochs} epochs, by a patience of "
        f"{patience:g}.",
        (
            Evidence("epochs that were made, share of those asked for", history.epochs / max(1, case.facts.epochs)),
            Evidence("patience, epochs", patience, _SHORT_PATIENCE + 1, "below"),
            trial_evidence(made, _LEAD / 2 if is_clear else _SMALL_LEAD),
        ),
        "A validation loss is noisy from epoch to epoch; the patience was shorter than the noise.",
        words,
        confidence=0.85 if is_clear else 0.4,
        epoch=history.epochs,
        source="the end of the run, and a longer trial",
    )


def _longer(case: Case, words: tuple[str, ...], run: Reached, updates: int) -> Attempt:
    """A whole longer training where it is affordable; a continuation of the stored weights otherwise."""
    if updates <= _AFFORDABLE * _trial_length(case):
        return attempt(case, words, run, updates=updates)
    return attempt(case, (), run, "stored")


def _trial_length(case: Case) -> int:
    known = [len(trace.losses) for trace in (case.first, case.last) if trace is not None]
    return max([50, *known])


def _mean(values: object) -> float:
    numbers = list(values) if isinstance(values, list | tuple) else []
    return sum(numbers) / len(numbers) if numbers else float("nan")


RULES = (batch_too_large, plateau_of_loss, stopped_too_soon)
