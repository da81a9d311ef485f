"""By how much one network is better than another on the same samples, and how sure that is.

Symbols: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, log
from typing import Literal

import numpy as np

from dlexp.diagnosis.case import Case, Outcome, OutputMeasure, Start
from dlexp.diagnosis.verdict import Evidence

_RESAMPLES = 500
_TAIL = 0.05  # of the resamples on either side of an interval
_COVERED = 0.5  # share of the updates of a run with which a trial shows what becomes of it
_WITHOUT_INTERVAL = 0.5  # of a gain counts as certain where the losses of single samples are unknown
_FALLING = 0.15  # of the drop of the training loss, in the last third of the epochs; a cosine ends with less
_FITS, _AS_POOR = 0.2, 0.7  # shortfall of a longer run that fits, and share of that of the run
_MORE = 0.3  # share of the validation loss that is saved beyond that of a longer run
_TINY = 1e-12


@dataclass(frozen=True)
class Gain:
    """What another network makes better.

    Attributes:
        share: Share of the mean loss that it saves; negative if it is worse, -inf if it failed.
        low: The lower end of the 90 % interval of the share, by bootstrap over the samples.
    """

    share: float
    low: float


NO_GAIN = Gain(-inf, -inf)


def gain_of(own: OutputMeasure, other: OutputMeasure) -> Gain:
    """What `other` saves of the loss of `own`; both are of the same samples in the same order."""
    before, after = mean_loss(own), mean_loss(other)
    if not isfinite(after):
        return NO_GAIN
    if not isfinite(before):
        return Gain(1.0, 1.0)
    share = 1.0 - after / max(before, _TINY)
    if len(own.sample_losses) != len(other.sample_losses) or not own.sample_losses:
        return Gain(share, share * _WITHOUT_INTERVAL if share > 0 else share)
    ratios = _resampled(other.sample_losses) / np.maximum(_resampled(own.sample_losses), _TINY)
    return Gain(share, 1.0 - float(np.quantile(ratios, 1.0 - _TAIL)))


def excess(low: OutputMeasure, high: OutputMeasure) -> float:
    """By how much the mean loss of `high` is above that of other samples `low`: lower end of the 90 % interval."""
    if not low.sample_losses or not high.sample_losses:
        return mean_loss(high) - mean_loss(low)
    difference = _resampled(high.sample_losses, seed=1) - _resampled(low.sample_losses)
    return float(np.quantile(difference, _TAIL))


def mean_loss(measure: OutputMeasure) -> float:
    """The mean loss over the samples, by the same formula whatever the loss of the run is; infinite if it is none."""
    losses = measure.sample_losses
    value = float(np.mean(losses)) if len(losses) else measure.metrics.get("loss", inf)
    return value if isfinite(value) else inf


def shortfall(case: Case, measure: OutputMeasure) -> float:
    """The loss by that of the best constant answer: 0 for perfect answers, 1 for a network that knows nothing.

    Where the losses of single samples are unknown, by the loss before the first update.
    """
    loss = mean_loss(measure)
    if not measure.sample_losses:
        first = case.start.train.metrics.get("loss", inf) if case.start else inf
        return loss / first if 0 < first < inf else 0.0
    if case.classes is None:
        return loss  # in units of the variance of the targets
    shares = [share for share in measure.class_shares if share > 0]
    entropy = -sum(share * log(share) for share in shares)
    return loss / entropy if entropy > _TINY else 0.0


def covers(case: Case, share: float = _COVERED) -> bool:
    """Whether a trial is so long that it shows what becomes of the run."""
    made = len(case.first.losses) if case.first is not None else 0
    return made >= share * min(case.facts.updates, _done(case) or case.facts.updates)


def reached(case: Case) -> Outcome | None:
    """The network at the end of the run, or before it that of a trial of the run itself if it is long enough."""
    if case.end is not None or case.history is not None:
        return case.end
    return network_after(case) if covers(case) else None


def network_after(case: Case, *words: str, start: Start = "initial") -> Outcome | None:
    """The network after a trial, None if it failed."""
    twin = case.twin(*words, start=start)
    return None if twin.trace is None or twin.trace.failed_at is not None else twin.after


def start_of_trials(case: Case) -> Start:
    """From where a trial says most: the initial weights if it covers the run, the stored ones otherwise."""
    return "initial" if covers(case) or case.end is None else "stored"


def beyond_more_of_the_same(case: Case, after: Outcome) -> bool | None:
    """Whether a network after a trial is better than the run itself after as many further updates.

    Otherwise the run was merely too short, and what learns faster looks better. None if both are about as good. A run
    that is to begin is compared with one of twice as many epochs.
    """
    longer = network_after(case, start="stored") if case.end is not None else _of_twice_the_epochs(case)
    if longer is None:
        return True
    share = gain_of(longer.val, after.val).share
    return True if share >= _MORE else None if share >= 0 else False


def _of_twice_the_epochs(case: Case) -> Outcome | None:
    made = len(case.first.losses) if case.first is not None else 0
    twin = case.twin(f"trainer.epochs={2 * case.facts.epochs}", updates=2 * made or None)
    return None if twin.trace is None or twin.trace.failed_at is not None else twin.after


def is_still_learning(case: Case, poor: float) -> bool:
    """Whether a run whose shortfall is `poor` has ended too soon to say what its network can learn."""
    if case.end is None or case.history is None:
        return False
    losses = [loss for loss in case.history.of("train/loss") if isfinite(loss)]
    third = len(losses) // 3
    if not third:
        return True
    drop = losses[0] - losses[-1]
    if drop > 0 and losses[-1 - third] - losses[-1] > _FALLING * drop:
        return True
    longer = network_after(case, start="stored")
    return longer is not None and shortfall(case, longer.train) < max(_FITS, _AS_POOR * poor)


def compared(
    measure: str, value: float, limit: float, side: Literal["above", "below"] = "above", *, is_trial: bool = False
) -> Evidence:
    """An evidence with its limit if it is crossed, and one that only tells more if not."""
    is_crossed = value > limit if side == "above" else value < limit
    return Evidence(measure, value, limit if is_crossed else None, side, is_trial)


def _done(case: Case) -> int:
    return 0 if case.history is None else case.history.epochs * case.facts.updates_per_epoch


def _resampled(losses: Sequence[float], seed: int = 0) -> np.ndarray:
    """The means of samples drawn with replacement, the same ones for equal N."""
    values = np.asarray(losses, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(values), (_RESAMPLES, len(values)))
    means: np.ndarray = values[drawn].mean(axis=1)
    return means
