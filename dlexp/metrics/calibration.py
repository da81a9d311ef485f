"""Whether probabilities mean what they say.

Symbols: N samples, K bins; confidence (N,) is the largest probability of each sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.confusion import Numbers

BINS = 15
Truths = NDArray[np.bool_]  # (N,) whether the predicted class is the true one


@dataclass(frozen=True)
class Bin:
    """The samples whose confidence lies in (low, high]: how many, their mean confidence and the share that is right."""

    low: float
    high: float
    samples: int
    confidence: float | None
    accuracy: float | None


def bin_of(confidence: Floats) -> Numbers:
    """(N,) -> (N,): the bin, of `BINS` of equal width over [0, 1], that the largest probability lies in."""
    edges = np.linspace(0, 1, BINS + 1)
    return np.asarray(np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1))


def gaps(confidence: Floats, right: Truths) -> Floats:
    """(N, K): confidence - right, of each sample, in the column of its bin.

    The expected calibration error (Guo et al. 2017) is the sum over bins of |sum over samples|, over N. It is above 0
    for a calibrated network too, the more so the fewer the samples; so are resamples, and an interval may lie above it.
    """
    return np.where(np.arange(BINS) == bin_of(confidence)[:, None], (confidence - right)[:, None], 0.0)


def bins(confidence: Floats, right: Truths) -> list[Bin]:
    """The K bins of a reliability diagram."""
    number = bin_of(confidence)
    found = []
    for k in range(BINS):
        inside = number == k
        some = bool(inside.any())
        means = (float(confidence[inside].mean()), float(right[inside].mean())) if some else (None, None)
        found.append(Bin(k / BINS, (k + 1) / BINS, int(inside.sum()), *means))
    return found
