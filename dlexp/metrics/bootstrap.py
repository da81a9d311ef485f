"""The bootstrap over the samples of a split (Efron 1979), with percentile intervals.

A resample of N samples with replacement is a row of N counts, which say how often each sample is in it and add up to N.
So a statistic is written once, as a function of counts: of ones it is the value itself, of a block of resamples it is
one value each, without a loop over them. NumPy only: nothing here loads torch.

An interval covers the choice of the samples. It does not cover another seed of the training, and it takes the samples
as drawn independently of each other: with several of one patient it is too narrow.

Symbols: N samples, R resamples of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Mapping[str, Floats]]

METHOD = "percentile"
_BLOCK = 1 << 18  # counts at a time, 2 MiB: what a statistic makes of them is about as large, and a cache holds some
_MOST_UNDEFINED = 0.05  # of the resamples; beyond it the rest is too much of a choice to speak for all


@dataclass(frozen=True)
class Resampling:
    """Settings of the resampling that intervals are made by.

    resamples  how many; 0 makes no intervals
    level      share of the resamples that an interval holds, in (0, 1)
    seed       of the resamples
    """

    resamples: int = 1000
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Interval:
    """The interval of a statistic when the samples are drawn again.

    low, high  bounds, in the statistic's own unit; None where `reason` says why there are none
    undefined  resamples that gave no value, such as an area under the curve of a single class; not among the bounds
    reason     the reason why there are no bounds, "" where there are
    method     how it was made
    """

    low: float | None
    high: float | None
    undefined: int = 0
    reason: str = ""
    method: str = METHOD


def blocks(count: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Counts (R, N) of N = `count` samples in every block of resamples, `resamples` rows in all.

    The rows follow from (count, seed) alone: more resamples begin with the same ones.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // count)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        # A row at a time, so that the numbers do not depend on the size of a block.
        drawn = np.stack([rng.integers(count, size=count, dtype=np.int64) for _ in range(size)])
        drawn += np.arange(size)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)


def resampled(statistic: Statistic, count: int, *, resamples: int, seed: int) -> dict[str, Floats]:
    """Name -> the values (resamples,) of a statistic over the resamples of N = `count` samples.

    statistic  counts (R, N) -> name -> (R,), NaN where a resample has no value
    Two runs on the same N samples and with the same seed are resampled alike, so their differences are paired.
    Raises ValueError for no sample or no resample.
    """
    if count < 1 or resamples < 1:
        raise ValueError(f"count={count}, resamples={resamples}: there must be a sample and a resample")
    parts = [statistic(block) for block in blocks(count, resamples, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def interval(values: Floats, level: float) -> Interval:
    """The percentile interval that holds the share `level`, in (0, 1), of the `values` (resamples,).

    NaN is a resample without a value: it is left out and counted, and above 5 % of them there is no interval.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}: must lie between 0 and 1, such as 0.95")
    defined = values[~np.isnan(values)]
    undefined = len(values) - len(defined)
    if undefined > _MOST_UNDEFINED * len(values):
        return Interval(None, None, undefined, f"undefined in {undefined:,} of {len(values):,} resamples")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), undefined)


def intervals(statistic: Statistic, count: int, *, resamples: int, level: float, seed: int) -> dict[str, Interval]:
    """Name -> interval of every value that a statistic of N = `count` samples has; see `resampled`."""
    found = resampled(statistic, count, resamples=resamples, seed=seed)
    return {name: interval(values, level) for name, values in found.items()}


def report_intervals(statistic: Statistic, count: int, resampling: Resampling | None) -> dict[str, Interval]:
    """Name -> interval, as a report wants them; none without `resampling`, or with no resamples. See `intervals`."""
    if resampling is None or not resampling.resamples:
        return {}
    made = resampling
    return intervals(statistic, count, resamples=made.resamples, level=made.level, seed=made.seed)
