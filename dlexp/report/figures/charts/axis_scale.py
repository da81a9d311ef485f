"""The scale of an axis: its range, and its ticks with their labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

_STEPS = (1, 2, 2.5, 5, 10)
_MARGIN = 0.05  # of the range, at both ends
_LEAST, _MOST = 1e-4, 1e6  # magnitudes between which numbers are written without an exponent
_MOST_LOG_TICKS = 8


@dataclass(frozen=True)
class AxisScale:
    """An axis from `low` to `high`, linear or logarithmic.

    ticks   positions within the range, ascending
    labels  their texts
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    is_log: bool = False

    def share(self, values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Places of values (N,) on the axis, 0 at `low` and 1 at `high`; what is not finite stays so."""
        given = np.asarray(values, dtype=np.float64)
        if not self.is_log:
            return (given - self.low) / (self.high - self.low)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (np.log10(given) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))


def linear_scale(values: Sequence[float], most: int, *, integers: bool = False, percent: bool = False) -> AxisScale:
    """A scale of all finite values, with at most `most` intervals between round numbers.

    Args:
        values: The values; without a finite one the range is 0 to 1.
        most: Intervals.
        integers: Whether ticks are whole numbers.
        percent: Whether the values are shares, which are labeled in percent.
    """
    low, high = _range(values)
    locator = MaxNLocator(nbins=most, steps=list(_STEPS), integer=integers, min_n_ticks=1 if integers else 2)
    found = [float(tick) for tick in locator.tick_values(low, high)]
    slack = 1e-9 * (high - low)
    ticks = [0.0 if abs(tick) < slack else tick for tick in found if low - slack <= tick <= high + slack]
    if percent:
        shown = PercentFormatter(1.0, symbol=" %")
        return AxisScale(low, high, tuple(ticks), tuple(shown.format_pct(tick, high - low) for tick in ticks))
    write = _written(ticks)
    return AxisScale(low, high, tuple(ticks), tuple(write(tick) for tick in ticks))


def log_scale(values: Sequence[float]) -> AxisScale:
    """A logarithmic scale of positive values: ticks at 1, 2 and 5 of each power of ten, or at powers alone."""
    finite = [value for value in values if math.isfinite(value)]
    ends = math.log10(min(finite)), math.log10(max(finite))
    margin = _MARGIN * (ends[1] - ends[0])
    low, high = 10 ** (ends[0] - margin), 10 ** (ends[1] + margin)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    ticks = [tick for tick in every if low <= tick <= high]
    if len(ticks) > _MOST_LOG_TICKS:
        ticks = [10.0**power for power in powers if low <= 10.0**power <= high]
        ticks = ticks[:: -(-len(ticks) // _MOST_LOG_TICKS)]
    return AxisScale(low, high, tuple(ticks), tuple(f"{tick:g}" for tick in ticks), is_log=True)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The least and the largest finite value with a margin; a range around a single one."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        half = 0.05 * abs(low) or 0.5
        return low - half, high + half
    margin = _MARGIN * (high - low)
    return low - margin, high + margin


def _written(ticks: Sequence[float]) -> Callable[[float], str]:
    """How numbers at these ticks are written: with as many decimals as tell them apart."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    step = min((later - tick for tick, later in pairwise(ticks)), default=largest)
    if not step or step < _LEAST or largest >= _MOST:
        digits = 3 if not step else max(3, math.ceil(math.log10(max(largest / step, 1.0))) + 2)
        return lambda tick: f"{tick:.{digits}g}"
    decimals = next((count for count in range(6) if abs(round(step, count) - step) < 1e-6 * step), 6)
    return lambda tick: f"{tick:.{decimals}f}"
