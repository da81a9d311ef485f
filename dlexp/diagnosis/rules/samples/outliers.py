"""Targets with a few values so far from all others that a loss sees nothing but these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, sqrt

import numpy as np

from dlexp.diagnosis.case import Case, Outcome
from dlexp.diagnosis.data.target_outliers import TargetOutliers, target_outliers
from dlexp.diagnosis.rules.fit.gains import network_after
from dlexp.diagnosis.verdict import Evidence, Verdict
from dlexp.findings import counted, listed_places

_GAP = 10.0  # distances of the next value; the largest two of 400 log-normal values (sigma 2) differ less than fourfold
_CORE = 0.3  # deviation of all others by that of all
_BETTER = 0.5  # typical error of a trial by that of the run
_LOSSES = ("mae", "huber")  # that do not square large errors
_SQUARED = ("MSE", "MSEPlusMAE", "MSELoss")


def judge_far_targets(case: Case) -> Iterator[Verdict]:
    """Values beyond a gap, and a trial with a loss that does not square their errors."""
    for found in target_outliers(case.bundle):
        if found.gap >= _GAP and found.core <= _CORE:
            yield far_targets(found, case)


def far_targets(found: TargetOutliers, case: Case) -> Verdict:
    """A warning where most samples are answered better without these values, a note otherwise."""
    own = network_after(case)
    error = min(typical_error(own, "train"), typical_error(own, "val"))
    evidence = [
        Evidence(f"distance of these values of {found.name} from the median by that of all others", found.gap, _GAP),
        Evidence("deviation of all other values by that of all", found.core, _CORE, "below"),
    ]
    if found.ratio > 0:
        evidence.append(Evidence("deviation by the robust one, of the median absolute deviation", found.ratio))
    is_worse = found.median_error > 0 and error > found.median_error
    if found.median_error > 0 and error < inf:
        measure = "median absolute error by that of the median as an answer"
        evidence.append(Evidence(measure, error / found.median_error, 1.0 if is_worse else None))
    best = _mended(case, own) if case.facts.loss in _SQUARED else None
    if best is not None:
        measure = f"median absolute error of validation with {' '.join(best[0])}, by that of the run"
        evidence.append(Evidence(measure, best[1], _BETTER, "below", is_trial=True))
    shown = listed_places([f"{one:.6g}" for one in found.values])
    is_certain = is_worse or best is not None
    return Verdict(
        "targets_not_standardized",
        "warning" if is_certain else "note",
        f"The target {found.name} has {counted(found.count, 'value')} far from all others: {shown}.",
        tuple(evidence),
        "Targets are scaled by their deviation, which these values make: all others look alike, and a squared error "
        "sees nothing but these.",
        () if best is None else best[0],
        action="Correct these values, or drop their rows: they are often slips or codes for missing ones.",
        confidence=0.9 if is_certain else 0.5,
        source="median absolute deviation, and the widest gap in the distances from the median",
    )


def typical_error(network: Outcome | None, split: str) -> float:
    """The root of the median square error over the samples of a split, in deviations of the targets."""
    losses: Sequence[float] = () if network is None else getattr(network, split).sample_losses
    value = sqrt(float(np.median(losses))) if len(losses) else inf
    return value if np.isfinite(value) else inf


def _mended(case: Case, own: Outcome | None) -> tuple[tuple[str, ...], float] | None:
    """The loss with the smallest typical error of validation, and that error by that of the run."""
    before = typical_error(own, "val")
    tried = []
    for name in _LOSSES:
        after = network_after(case, f"loss={name}")
        tried.append((typical_error(after, "val") / before if 0 < before < inf else inf, (f"loss={name}",)))
    ratio, words = min(tried)
    return (words, ratio) if ratio < _BETTER else None


RULES = (judge_far_targets,)
