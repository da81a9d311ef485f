"""Whether probabilities mean what they say.

Symbols: N samples, C classes, K bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.classes import Numbers

BINS = 15
_TINY = float(np.finfo(np.float32).tiny)  # networks answer in float32: below it a probability is 0


@dataclass(frozen=True)
class Bin:
    """The samples whose confidence lies in (low, high]: how many, their mean confidence and the share that is right."""

    low: float
    high: float
    samples: int
    confidence: float | None
    accuracy: float | None


def log_losses(probabilities: Floats, targets: Numbers) -> Floats:
    """(N, C) -> (N,): -ln of the probability of the true class, which counts as 1.2e-38 where it is 0."""
    return -np.log(np.maximum(_of_true(probabilities, targets), _TINY))


def brier_scores(probabilities: Floats, targets: Numbers) -> Floats:
    """(N, C) -> (N,): squared distance to the truth (Brier 1950).

    Of two classes that of the second alone, in [0, 1], as is usual; of more the sum over them, in [0, 2].
    """
    truth = np.arange(probabilities.shape[1]) == targets[:, None]
    squares: Floats = (probabilities - truth) ** 2
    return np.asarray(squares[:, 1] if squares.shape[1] == 2 else squares.sum(axis=1))


def bin_of(probabilities: Floats) -> Numbers:
    """(N, C) -> (N,): the bin, of `BINS` of equal width over [0, 1], that the largest probability lies in."""
    edges = np.linspace(0, 1, BINS + 1)
    return np.asarray(np.clip(np.searchsorted(edges, probabilities.max(axis=1), side="left") - 1, 0, BINS - 1))


def gaps(probabilities: Floats, targets: Numbers) -> Floats:
    """(N, K): confidence - right, of each sample, in the column of its bin.

    The expected calibration error (Guo et al. 2017) is the sum over bins of |sum over samples|, over N. It is above 0
    for a calibrated network too, the more so the fewer the samples; so are resamples, and an interval may lie above it.
    """
    differences = probabilities.max(axis=1) - (probabilities.argmax(axis=1) == targets)
    return np.where(np.arange(BINS) == bin_of(probabilities)[:, None], differences[:, None], 0.0)


def bins(probabilities: Floats, targets: Numbers) -> list[Bin]:
    """The K bins of a reliability diagram."""
    number, confidence = bin_of(probabilities), probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    found = []
    for k in range(BINS):
        inside = number == k
        some = bool(inside.any())
        means = (float(confidence[inside].mean()), float(right[inside].mean())) if some else (None, None)
        found.append(Bin(k / BINS, (k + 1) / BINS, int(inside.sum()), *means))
    return found


def _of_true(probabilities: Floats, targets: Numbers) -> Floats:
    chosen: Floats = np.take_along_axis(probabilities, targets[:, None], axis=1)[:, 0]
    return chosen
