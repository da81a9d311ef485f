"""How well a network fits the samples it is trained on, and others: too well, or not well enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite

import numpy as np

from dlexp.diagnosis.case import Case, NetworkMeasure, Twin
from dlexp.diagnosis.rules.fit.gains import (
    Gain,
    beyond_more_of_the_same,
    compared,
    covers,
    excess,
    gain_of,
    is_still_learning,
    mean_loss,
    reached,
    shortfall,
    start_of_trials,
)
from dlexp.diagnosis.rules.fit.restraints import fewer_epochs, larger_networks, restraints
from dlexp.diagnosis.verdict import Evidence, Verdict
from dlexp.findings import Severity

_GAP = 2.0  # validation loss by training loss; a healthy network that has learned its samples reaches it as well
_RISE = 0.1  # of the validation loss after its best epoch, share of it
_NOISE = 2.0  # times the spread of the differences between epochs
_LAST = 3  # epochs that are averaged
_ROOM, _ROOM_RISING = 0.15, 0.05  # validation loss by that of the best constant answer: below, little is to be gained
_BETTER, _SURE = 0.15, 0.05  # share of the validation loss that a trial saves, and surely saves
_BEST_BETTER = 0.1  # the same at the best epochs, whose weights are used
_SEVERE = 0.4
_FIRST = 0.95  # of the best gain: among remedies that are equally good the one with the fewest words is taken
_NOTHING, _NO_BETTER = 0.05, 0.75  # training and validation loss by that of constant answers, of what is known by heart
_PROBES, _PROMISING = 2, 0.05  # restraints that are tried in any case; one of them must save this share for more

_POOR, _VERY_POOR = 0.2, 0.5  # training loss by that of the best constant answer
_LARGER_TRAIN, _LARGER_VAL = 0.4, 0.25  # shares of the losses that a larger network saves


@dataclass(frozen=True)
class _Curve:
    """The validation loss over the epochs."""

    rise: float
    noise: float
    best: float
    best_epoch: int

    @property
    def is_rising(self) -> bool:
        return self.rise > _RISE and self.rise > _NOISE * self.noise

    @classmethod
    def of(cls, values: Sequence[float]) -> _Curve:
        known = np.asarray([value for value in values if isfinite(value)], dtype=np.float64)
        if len(known) < _LAST + 1:
            return cls(0.0, 0.0, float(known.min()) if len(known) else inf, len(known))
        best = int(known.argmin())
        size = max(abs(float(known[best])), 1e-12)
        late = float(known[-_LAST:].mean()) if best < len(known) - _LAST else float(known[best])
        steps = np.abs(np.diff(known, n=2))[len(known) // 2 :]  # a steady rise is no noise
        noise = float(np.median(steps)) / size if len(steps) else 0.0
        return cls(late / size - 1.0, noise, float(known[best]), best + 1)


@dataclass(frozen=True)
class _Restrained:
    words: tuple[str, ...]
    last: Gain
    best: float


def overfitting(case: Case) -> Iterator[Verdict]:
    """A network that fits its training samples far better than others, while a restraint makes it better for those.

    dlexp uses the weights of the best epoch, so that a validation loss which rises afterwards alone costs only time.
    Where all that was learned was learned by heart, it is told even if no restraint surely helps.
    """
    end, history = case.end, case.history
    if end is None or history is None:
        return
    train, val = mean_loss(end.train), mean_loss(end.val)
    gap, room = excess(end.train, end.val), shortfall(case, end.val)
    curve = _Curve.of(history.of("val/loss"))
    if not (isfinite(val) and gap > 0 and val > _GAP * train) or room < (_ROOM_RISING if curve.is_rising else _ROOM):
        return
    by_heart = _by_heart(case, end, curve)
    tried = _restrained(case, end, curve, is_thorough=bool(by_heart))
    found = _surely_best(tried)
    if found is None and not by_heart:
        return
    if found is None:
        found = max(
            (one for one in tried if one.last.share >= _PROMISING), key=lambda one: one.last.share, default=None
        )
    yield _overfitted(case, curve, found, by_heart, (val / max(train, 1e-12), gap))


def _overfitted(
    case: Case, curve: _Curve, found: _Restrained | None, by_heart: tuple[Evidence, ...], measured: tuple[float, float]
) -> Verdict:
    best = -inf if found is None else found.best
    is_harm = bool(by_heart) or best >= max(_BEST_BETTER, curve.noise)
    severity: Severity = "note" if not is_harm else "error" if best >= _SEVERE else "warning"
    evidence = [
        Evidence("validation loss by training loss, last weights", measured[0], _GAP),
        Evidence("validation loss above training loss, lower end of the 90 % interval", measured[1], 0.0),
        *by_heart,
    ]
    if curve.is_rising:
        evidence.append(Evidence("rise of the validation loss after its best epoch, share", curve.rise, _RISE))
    if found is not None:
        measure = "share of the validation loss that a trial with the remedy saves"
        evidence.append(compared(measure, found.last.share, _BETTER, is_trial=True))
        evidence.append(compared("the same at the best epochs", found.best, _BEST_BETTER, is_trial=True))
    return Verdict(
        "overfitting",
        severity,
        "The network learns its training samples by heart."
        if is_harm
        else "The network learns its training samples by heart after its best epoch, whose weights are used.",
        tuple(evidence),
        "It has more freedom than the training samples can fix.",
        found.words if found is not None else fewer_epochs(case, curve.best_epoch) or next(iter(restraints(case)), ()),
        action="More training samples help most.",
        confidence=0.9 if curve.is_rising else 0.7,
        epoch=curve.best_epoch if curve.is_rising else None,
        source="losses of single samples, and trials with restraints",
    )


def _by_heart(case: Case, end: NetworkMeasure, curve: _Curve) -> tuple[Evidence, ...]:
    """A training loss of about 0 beside a validation loss about that of constant answers, in every epoch; () if not."""
    train, val = shortfall(case, end.train), shortfall(case, end.val)
    known = end.val.metrics.get("loss", inf)
    best = val * curve.best / known if isfinite(known) and known > 0 else val  # in the units of the loss of the run
    if not end.val.sample_losses or train > _NOTHING or min(val, best) < _NO_BETTER:
        return ()
    return (
        Evidence("training loss by that of the best constant answer", train, _NOTHING, "below"),
        Evidence("validation loss by that of the best constant answer, last weights", val, _NO_BETTER),
        Evidence("the same in the best epoch", best, _NO_BETTER),
    )


def _restrained(case: Case, end: NetworkMeasure, curve: _Curve, *, is_thorough: bool) -> list[_Restrained]:
    """Trials with the restraints that there are; not all of them where the first ones promise little."""
    start = start_of_trials(case)
    own_twin = case.twin(start=start)
    own = own_twin.after or end
    own_best = min(_best_loss(own_twin), curve.best if covers(case, 1.0) else inf)

    def judged(twin: Twin) -> _Restrained | None:
        if twin.after is None or twin.trace is None or twin.trace.failed_at is not None:
            return None
        best = 1.0 - _best_loss(twin) / own_best if isfinite(own_best) and own_best > 0 else 0.0
        return _Restrained(twin.words, gain_of(own.val, twin.after.val), best)

    tried: list[_Restrained] = []
    for number, words in enumerate(restraints(case), start=1):
        if (one := judged(case.twin(*words, start=start))) is not None:
            tried.append(replace(one, words=words))
        if number == _PROBES and not is_thorough and all(one.last.share < _PROMISING for one in tried):
            break
    if words := fewer_epochs(case, curve.best_epoch) if curve.is_rising else ():
        one = judged(case.twin(*words, updates=curve.best_epoch * case.facts.updates_per_epoch))
        tried += [replace(one, words=words)] if one is not None else []
    return tried


def _surely_best(tried: Sequence[_Restrained]) -> _Restrained | None:
    """Of the remedies that surely help, the one that helps most; of nearly equal ones that with fewer words."""
    helpful = [one for one in tried if one.last.share >= _BETTER and one.last.low >= _SURE]
    if not helpful:
        return None
    most = max(one.last.share for one in helpful)
    return min((one for one in helpful if one.last.share >= _FIRST * most), key=lambda one: len(one.words))


def _best_loss(twin: Twin) -> float:
    """The lowest validation loss of the epochs of a trial, and after it."""
    epochs = twin.trace.epochs if twin.trace else ()
    values = [epoch.get("val/loss", inf) for epoch in epochs]
    if twin.after is not None:
        values.append(twin.after.val.metrics.get("loss", inf))
    return min((value for value in values if isfinite(value)), default=inf)


def underfitting(case: Case) -> Iterator[Verdict]:
    """A network that does not fit its training samples, while a larger one fits them, and validates better."""
    end = reached(case)
    poor = 0.0 if end is None else shortfall(case, end.train)
    if end is None or poor <= _POOR:
        return
    for words in larger_networks(case):
        twin = case.twin(*words)
        if twin.after is None or twin.trace is None or twin.trace.failed_at is not None:
            continue
        train, val = gain_of(end.train, twin.after.train), gain_of(end.val, twin.after.val)
        if train.share < _LARGER_TRAIN or val.share < _LARGER_VAL or min(train.low, val.low) < _SURE:
            continue
        is_beyond = beyond_more_of_the_same(case, twin.after)
        if is_beyond is False:
            continue
        is_note = is_beyond is None or is_still_learning(case, poor)
        yield Verdict(
            "underfitting",
            "note" if is_note else "error" if poor >= _VERY_POOR else "warning",
            "The network is too small for what the samples hold.",
            (
                Evidence("training loss by that of the best constant answer", poor, _POOR),
                Evidence(
                    "share of the training loss that a larger network saves", train.share, _LARGER_TRAIN, is_trial=True
                ),
                Evidence("share of the validation loss that it saves", val.share, _LARGER_VAL, is_trial=True),
                Evidence("the same, lower end of the 90 % interval", val.low, _SURE, is_trial=True),
            ),
            "It cannot express how the targets follow from the inputs.",
            words,
            confidence=0.4 if is_note else 0.7,
            source="a trial with a larger network",
        )
        return


RULES = (overfitting, underfitting)
