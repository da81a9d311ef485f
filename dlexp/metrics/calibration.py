"""Calibration: how far the confidence of a network is from its accuracy.

Symbols: N samples, K bins, R resamples; confidence (N,) is the largest probability of each sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.confusion import Numbers

BINS = 15
_MOST_DENSE = 1 << 15  # samples
Truths = NDArray[np.bool_]  # (N,) true where the predicted class is the true one


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


class Gaps:
    """confidence - right of each sample, by the bin of its confidence.

    The expected calibration error (Guo et al. 2017) is the sum over bins of |sum over samples|, over N. It is above 0
    for a calibrated network too, the more so the fewer the samples; so are resamples, and an interval may lie above it.
    """

    def __init__(self, confidence: Floats, right: Truths) -> None:
        self._bins, self._gaps = bin_of(confidence), confidence - right
        # For few samples one product of matrices is fastest; for many its K columns would be most of the memory.
        is_small = len(confidence) <= _MOST_DENSE
        self._columns = np.where(np.arange(BINS) == self._bins[:, None], self._gaps[:, None], 0.0) if is_small else None

    @property
    def means(self) -> Floats:
        """(K,): the sum over the samples of a bin, over N."""
        return np.asarray(np.bincount(self._bins, self._gaps, minlength=BINS) / len(self._gaps))

    def sums(self, counts: Floats) -> Floats:
        """(R, K): the sum over the samples of a bin, in which each sample counts as `counts` (R, N) say."""
        if self._columns is not None:
            return np.asarray(counts @ self._columns)
        return np.stack([np.bincount(self._bins, row * self._gaps, minlength=BINS) for row in counts])


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
