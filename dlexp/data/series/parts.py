"""The parts of series by time, and the windows of each part.

A window belongs to the part that has all of its targets. Its inputs may reach back into the part before, as they will
when the network is used; no target of a part is a target or an input of a window of an earlier part. Windows whose
targets would lie on both sides of a cut belong to no part: they are the gap.

Symbols: N steps of a series, L steps of a window, H of a horizon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.series.series_set import SeriesSet
from dlexp.errors import Code, DataError
from dlexp.text.quoting import setting

Steps = NDArray[np.int64]
PARTS = ("train", "val", "test")
_MOST_SHARE = 0.45  # of a series, for val and for test each


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
    """Notes about series that have no window at all.

    Raises DataError with everything that leaves a part without any window, and one line that solves all of it.
    """
    needs = options.window + options.horizon
    longest = max(found.series, key=len)
    problems = []
    if options.window < options.horizon and reads_ahead(found):
        problems.append(
            f"data.window={options.window} must be at least data.horizon={options.horizon} with data.known or "
            "data.calendar"
        )
    is_clash = bool(problems)
    if len(longest) < needs:
        who = "the longest series" if len(found.series) > 1 else "the series"
        what = f"data.window={options.window} + data.horizon={options.horizon} need {needs:,}"
        problems.append(f"{who} has {len(longest):,} steps, and {what}")
    counts = _counts(found, cuts, options)
    problems += [_empty_part(found, part, cuts, options) for part in PARTS if not counts[part]]
    if problems:
        row = int(longest.lines[-1]) if found.unit and len(longest) else None
        code: Code = "cannot-combine" if is_clash and len(problems) == 1 else "too-few-samples"
        rule, remedy = "; ".join(problems), solution(found, options)
        place = None if code == "cannot-combine" else row
        raise DataError(rule, file=found.file, row=place, unit=found.unit or "row", remedy=remedy, code=code)
    left = [one.name for one in found.series if len(one) < needs]
    if not left:
        return []
    some = ", ".join(map(repr, left[:5])) + (", ..." if len(left) > 5 else "")
    return [f"{len(left):,} of {len(found.series):,} series left out: shorter than data.window + data.horizon: {some}"]


def reads_ahead(found: SeriesSet) -> bool:
    """Whether inputs hold what is known of the steps of the horizon, which must not be longer than the window then."""
    return bool(found.columns.known or found.columns.calendar)


def _counts(found: SeriesSet, cuts: Sequence[tuple[int, int]], options: WindowOptions) -> dict[str, int]:
    """Part -> the number of its windows."""
    counts = dict.fromkeys(PARTS, 0)
    for one, own in zip(found.series, cuts, strict=True):
        for part, firsts in zip(PARTS, windows_of(len(one), own, options), strict=True):
            counts[part] += len(firsts)
    return counts


def _empty_part(found: SeriesSet, part: str, cuts: Sequence[tuple[int, int]], options: WindowOptions) -> str:
    """What a part of the longest series has, and what one window needs."""
    best = max(range(len(found.series)), key=lambda n: len(found.series[n]))
    count, (val, test) = len(found.series[best]), cuts[best]
    have = {"train": val, "val": test - val - options.gap, "test": count - test - options.gap}[part]
    window, horizon = options.window, options.horizon
    is_train = part == "train"
    what = f"data.window={window} + data.horizon={horizon}" if is_train else f"data.horizon={horizon}"
    needs = horizon + (window if is_train else 0)
    gap = f" beside data.gap={options.gap}" if options.gap and not is_train else ""
    return f"the {part} part has {max(0, have):,} of {count:,} steps{gap}, and {what} need {needs:,}"


def solution(found: SeriesSet, options: WindowOptions) -> str:
    """The settings with which every part has a window: those that change least, each of them tried out.

    First the shares of val and test, then the window, then both, then the same with shorter horizons.
    """
    horizon = options.horizon
    while horizon:
        shorter = replace(options, horizon=horizon)
        for wanted in (shorter, _larger_shares(found, shorter)):
            for tried in (wanted, _other_window(found, wanted)):
                if tried is not None and _fits(found, tried):
                    return f"Set {_settings(options, tried)}"
        horizon = horizon * 2 // 3
    return "Use a longer series." if not options.gap else "Use a longer series, or set a smaller data.gap."


def _larger_shares(found: SeriesSet, options: WindowOptions) -> WindowOptions | None:
    """The shares with which val and test have room for a few windows; None where that is most of the series."""
    count = max(map(len, found.series))
    share = float(np.ceil(100 * (options.horizon + options.gap + 1) / max(1, count)) / 100)
    if share > _MOST_SHARE:
        return None
    val, test = max(options.val_fraction, share), max(options.test_fraction, share)
    return replace(options, val_fraction=val, test_fraction=test)


def _other_window(found: SeriesSet, options: WindowOptions | None) -> WindowOptions | None:
    """The nearest window that fits into the training part twice; None where that changes nothing."""
    if options is None:
        return None
    room = max(val for val, _ in cuts_of(found, options)) - options.horizon - 1
    least = options.horizon if reads_ahead(found) else 1
    window = min(room, max(options.window, least))
    return replace(options, window=window) if window >= 1 and window != options.window else None


def _fits(found: SeriesSet, options: WindowOptions) -> bool:
    if options.window < options.horizon and reads_ahead(found):
        return False
    return all(_counts(found, cuts_of(found, options), options).values())


def _settings(before: WindowOptions, after: WindowOptions) -> str:
    """The keys that differ, as words of the command line."""
    keys = ("window", "horizon", "val_fraction", "test_fraction")
    return " ".join(
        setting(f"data.{key}", getattr(after, key)) for key in keys if getattr(after, key) != getattr(before, key)
    )
