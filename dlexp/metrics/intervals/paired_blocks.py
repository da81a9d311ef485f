"""The difference of two forecasters on the same windows of time, whose errors depend on each other.

Windows are put in blocks as in `dlexp.metrics.intervals.blocks`, and each block counts as one sample: so a comparison
of two networks rests on what the verdict of one network beside a forecast without a network rests on.

Symbols: K seeds of one side, N windows, S blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.intervals.blocks import block_interval
from dlexp.metrics.intervals.paired_difference import PairedDifference


@dataclass(frozen=True)
class TimeBlocks:
    """The block of each of N windows, and what neighboring blocks have in common.

    places   (N,) int64, from 0 on
    overlap  share of its targets that a window has in common with the next, (H - 1) / H
    """

    places: NDArray[np.int64]
    overlap: float

    @property
    def count(self) -> int:
        """S."""
        return len(np.unique(self.places))

    def scores(self, scores: Floats) -> Floats:
        """(K, N) scores of windows -> (K, S) of blocks: of the same mean, with the variance that `block_interval` has.

        A mean of the blocks' scores then has the uncertainty of the mean of the windows' scores.
        """
        _, places = np.unique(self.places, return_inverse=True)
        size = np.bincount(places)
        mean = scores.mean(axis=1, keepdims=True)
        total = np.stack([np.bincount(places, row) for row in scores])
        apart = (total - mean * size) / size.mean()
        found: Floats = mean + np.sqrt(1 + 0.5 * self.overlap) * apart
        return found


def over_blocks(first: Floats, second: Floats, blocks: TimeBlocks, level: float) -> PairedDifference:
    """The difference of these very networks over stretches of time like these; several of a side are averaged.

    first   (K, N)
    second  (K', N) scores of the same windows
    Raises ValueError for fewer blocks than `block_interval` needs.
    """
    apart = first.mean(axis=0) - second.mean(axis=0)
    found = block_interval(apart, blocks.places, level, blocks.overlap)
    if found.low is None or found.high is None:
        raise ValueError(found.reason)
    seeds = len(first), len(second)
    return PairedDifference(float(apart.mean()), found.low, found.high, level, None, "samples", seeds, len(apart))
