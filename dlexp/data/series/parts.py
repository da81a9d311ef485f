"""The parts of series by time, and the windows of each part.

A window belongs to the part that has all of its targets. Its inputs may reach back into the part before, as they will
when the network is used; no target of a part is a target or an input of a window of an earlier part. Windows whose
targets would lie on both sides of a cut belong to no part: they are the gap.

Symbols: N steps of a series, L steps of a window, H of a horizon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.series.series_set import Series, SeriesSet
from dlexp.errors import DataError
from dlexp.text.quoting import setting

Steps = NDArray[np.int64]
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class WindowOptions:
    """The keys of data.* of the same names.

    window, horizon  L and H in steps
    stride           steps between the windows of the training part; evaluation has every window
    gap              steps between two parts that are in neither as targets
    cut              time: all series at the same time; series: each at its own share of steps
    """

    window: int
    horizon: int
    stride: int = 1
    gap: int = 0
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    cut: str = "time"


def cuts_of(found: SeriesSet, options: WindowOptions) -> list[tuple[int, int]]:
    """(first step of val, first step of test) of each series."""
    times = [one.times for one in found.series]
    if options.cut == "series" or len(times) == 1 or any(own is None for own in times):
        return [_shares(len(one), options) for one in found.series]
    every: NDArray[Any] = np.unique(np.concatenate([own for own in times if own is not None]))
    bounds = [every[min(at, len(every) - 1)] for at in _shares(len(every), options)]
    return [
        (int(np.searchsorted(own, bounds[0])), int(np.searchsorted(own, bounds[1]))) for own in times if own is not None
    ]


def _shares(count: int, options: WindowOptions) -> tuple[int, int]:
    test = count - round(count * options.test_fraction)
    return max(0, test - round(count * options.val_fraction)), test


def windows_of(count: int, cuts: tuple[int, int], options: WindowOptions) -> tuple[Steps, Steps, Steps]:
    """The step of the first target of each window of train, val and test of a series of `count` steps."""
    window, horizon, (val, test) = options.window, options.horizon, cuts
    bounds = ((0, val), (val + options.gap, test), (test + options.gap, count))
    strides = (options.stride, 1, 1)
    return tuple(  # type: ignore[return-value]
        np.arange(max(begin, window), max(end - horizon + 1, 0), stride, dtype=np.int64)
        for (begin, end), stride in zip(bounds, strides, strict=True)
    )


def check_lengths(found: SeriesSet, cuts: Sequence[tuple[int, int]], options: WindowOptions) -> list[str]:
    """Notes about series that have no window at all. Raises DataError where a part has none of any series."""
    window, horizon = options.window, options.horizon
    needs = window + horizon
    long = [one for one in found.series if len(one) >= needs]
    if not long:
        raise _too_short(found, max(found.series, key=len), options)
    counts = dict.fromkeys(PARTS, 0)
    for one, own in zip(found.series, cuts, strict=True):
        for part, firsts in zip(PARTS, windows_of(len(one), own, options), strict=True):
            counts[part] += len(firsts)
    for part, count in counts.items():
        if not count:
            raise _empty_part(found, part, cuts, options)
    left = [one.name for one in found.series if len(one) < needs]
    if not left:
        return []
    some = ", ".join(map(repr, left[:5])) + (", ..." if len(left) > 5 else "")
    return [f"{len(left):,} of {len(found.series):,} series left out: shorter than data.window + data.horizon: {some}"]


def _too_short(found: SeriesSet, longest: Series, options: WindowOptions) -> DataError:
    count, window, horizon = len(longest), options.window, options.horizon
    who = "the longest series" if len(found.series) > 1 else "the series"
    rule = f"{who} has {count:,} steps, and data.window={window} + data.horizon={horizon} need {window + horizon:,}"
    smaller = count // 3
    remedy = "Use a longer series."
    if smaller >= 2:
        steps = max(1, min(horizon, smaller // 3))
        remedy = f"Set {setting('data.window', max(1, smaller - smaller // 3))} {setting('data.horizon', steps)}"
    row = int(longest.lines[-1]) if found.unit and count else None
    return DataError(rule, file=found.file, row=row, unit=found.unit or "row", remedy=remedy, code="too-few-samples")


def _empty_part(found: SeriesSet, part: str, cuts: Sequence[tuple[int, int]], options: WindowOptions) -> DataError:
    """The error for a part in which the horizon does not fit."""
    best = max(range(len(found.series)), key=lambda n: len(found.series[n]))
    count, (val, test) = len(found.series[best]), cuts[best]
    have = {"train": val, "val": test - val - options.gap, "test": count - test - options.gap}[part]
    window, horizon = options.window, options.horizon
    needs = horizon + (window if part == "train" else 0)
    what = f"data.window={window} + data.horizon={horizon}" if part == "train" else f"data.horizon={horizon}"
    rule = f"the {part} part has {max(0, have):,} of {count:,} steps, and {what} need {needs:,}"
    if part == "train":
        remedy = (
            f"Set a smaller data.window, such as {setting('data.window', max(1, val - horizon - 1))}"
            if val > horizon + 1
            else "Use a longer series."
        )
    else:
        share = min(0.45, np.ceil(100 * (needs + options.gap + 1) / max(1, count)) / 100)
        remedy = f"Set {setting(f'data.{part}_fraction', float(share))}, or a smaller data.horizon"
    row = int(found.series[best].lines[-1]) if found.unit else None
    return DataError(rule, file=found.file, row=row, unit=found.unit or "row", remedy=remedy, code="too-few-samples")
