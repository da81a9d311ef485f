"""Intervals of means over windows of time, whose errors depend on each other: by means of blocks.

Windows that begin within H steps of each other share targets, and errors last. So windows are put in blocks of
consecutive beginnings, and the means of the blocks are taken as independent: Student's t with one degree of freedom
less than there are blocks ("batch means", Conway 1963; Law and Kelton, Simulation Modeling and Analysis). Series that
are forecast at the same time count as one. The interval covers other stretches of time that are like this one; it does
not cover another seed of the training, nor a change of the series. With few blocks it is wide, as it should be.

Symbols: N windows, K blocks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats, Interval
from dlexp.metrics.intervals.student_t import two_sided_point

METHOD = "block means"
LEAST_BLOCKS = 3
_MOST_BLOCKS = 20


def time_blocks(origins: NDArray[np.int64], horizon: int) -> NDArray[np.int64]:
    """(N,) the block of each window by when it begins, blocks of about equal length and at least the horizon.

    origins  (N,) steps at which the windows begin, on a scale that all series share
    """
    every, place = np.unique(origins, return_inverse=True)
    count = len(every)
    length = max(horizon, -(-count // _MOST_BLOCKS))
    blocks = max(1, count // length)
    return np.asarray(place * blocks // count, dtype=np.int64)


def block_interval(
    values: Floats,
    blocks: NDArray[np.int64],
    level: float,
    overlap: float = 0.0,
    shown: Callable[[float], float] = float,
) -> Interval:
    """The interval of the mean of (N,) values; NaN is left out.

    Args:
        values: One value of each window.
        blocks: The block of each, see `time_blocks`.
        level: Share of such intervals that hold the mean, in (0, 1).
        overlap: Share of its targets that a window has in common with the next, (H - 1) / H. Where all of a window's
            error is that of its targets, neighboring blocks of H windows have a part of their variance in common that
            their means do not show: with whole overlap the variance is 1.5 times what they show.
        shown: What is made of the bounds, such as a root.
    """
    there = ~np.isnan(values)
    total = np.bincount(blocks[there], values[there])
    count = np.bincount(blocks[there])
    total, count = total[count > 0], count[count > 0]
    if len(count) < LEAST_BLOCKS:
        reason = f"{len(count)} independent stretches of time; {LEAST_BLOCKS} are required"
        return Interval(None, None, 0, reason, METHOD)
    mean = total.sum() / count.sum()
    # The error of a ratio of sums: blocks need not hold the same number of windows.
    apart = (total - mean * count) / count.mean()
    error = np.sqrt((1 + 0.5 * overlap) * (apart**2).sum() / (len(count) - 1) / len(count))
    wide = two_sided_point(1 - level, len(count) - 1) * error
    return Interval(shown(mean - wide), shown(mean + wide), 0, "", METHOD)
