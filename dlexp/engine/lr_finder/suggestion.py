"""From the points of a learning-rate sweep to a suggestion: pure functions on arrays.

Symbols: N points of a sweep; x (N,) log10 of the learning rate, rising; y (N,) the loss there, in its own units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDTH = 0.25  # decades: the standard deviation of the Gaussian smooth
MIN_POINTS = 20
MIN_CONFIDENCE = 3.0
MAX_DISAGREEMENT = 1.0  # decades
_FIRST_CHECK = 10  # points before a rise is believed: the noise must be known
_NOISES = 4.0
_SHIFTS = 64


@dataclass(frozen=True)
class Reading:
    """What one sweep says; every rate as log10.

    suggested     the steepest descent of the smoothed loss left of its minimum; None when it never descends
    low, high     the range worth trying: the start of the descent, and a tenth of the rate of the minimum
    interval      the 5 % and 95 % quantiles of `suggested` when the noise had come in another order
    drop, noise   how far the smoothed loss fell, and the scatter of the raw loss around it, in units of the loss
    edge          "" or how the range cuts the curve off: `bottom`, `top`; or why no descent is seen: `flat` when the
                  loss does not move, `risen` when it only rises, `noisy` when the noise may hide one
    smoothed      (N,) the smoothed loss
    """

    suggested: float | None
    low: float
    high: float
    interval: tuple[float, float]
    drop: float
    noise: float
    edge: str
    smoothed: Array

    @property
    def confidence(self) -> float:
        """Drop over noise: about 20 for a clear curve, about 1 for none."""
        return self.drop / self.noise if self.drop > 0 else 0.0


@dataclass(frozen=True)
class RateSuggestion:
    """What all sweeps say together; every rate as log10.

    suggested  the median over the seeds, None when no seed has one
    interval   of one sweep its own; of several the smallest and the largest suggestion
    reasons    why the confidence is low; empty when it is not
    """

    suggested: float | None
    low: float
    high: float
    interval: tuple[float, float]
    confidence: float
    reasons: tuple[str, ...]


def smooth(x: Array, y: Array, width: float = WIDTH) -> Array:
    """(N,): at each point the mean of all, weighted by a Gaussian of the distance in x; symmetric, so without lag."""
    weights = np.exp(-0.5 * ((x[:, None] - x[None, :]) / width) ** 2)
    smoothed: Array = weights @ y / weights.sum(axis=1)
    return smoothed


def noise_of(residuals: Array) -> float:
    """The standard deviation that a normal noise of the same median size has; outliers do not move it."""
    return float(1.4826 * np.median(np.abs(residuals))) if len(residuals) else 0.0


def has_diverged(x: Array, y: Array) -> bool:
    """Whether the loss now stands as far above its start as it had come below it, and clearly above its noise.

    Free of scale and sign: differences of losses are compared with differences of losses. The size of the loss only
    says what rise is too small to mean anything, where there is next to no noise and no fall yet.
    """
    if len(x) < _FIRST_CHECK:
        return False
    smoothed = smooth(x, y)
    start, best, now = smoothed[0], smoothed.min(), smoothed[-1]
    trifle = max(0.01 * abs(start), 1e-9 * np.abs(y).max())
    return bool(now > start + max(start - best, _NOISES * noise_of(y - smoothed), trifle))


def read(x: Array, y: Array, diverged: bool) -> Reading:
    """Read a sweep of finite losses.

    diverged  whether it ended before the top of its range because the loss rose or became NaN
    """
    smoothed = smooth(x, y)
    lowest = int(smoothed.argmin())
    steepest = _steepest(x, smoothed)
    drop = float(smoothed[0] - smoothed[lowest])
    # What comes after the minimum is the blow-up: its scatter says nothing about the descent.
    residuals = (y - smoothed)[: max(lowest + 1, _FIRST_CHECK)]
    noise = max(noise_of(residuals), 1e-9 * float(np.abs(y).max()), np.finfo(np.float64).tiny)
    if steepest is None:
        nowhere = (float(x[0]), float(x[-1]))
        return Reading(None, *nowhere, nowhere, drop, noise, "risen" if diverged else "flat", smoothed)
    suggested = float(x[steepest])
    before = np.flatnonzero(smoothed[: steepest + 1] >= smoothed[0] - 0.1 * drop)
    low = float(x[before[-1]]) if len(before) else float(x[0])
    high = max(suggested, float(x[lowest]) - 1.0)
    interval = _interval(x[: lowest + 1], y[: lowest + 1], smoothed[: lowest + 1])
    interval = (min(interval[0], suggested), max(interval[1], suggested))
    edge = _edge(x, steepest, lowest, drop / noise, diverged)
    return Reading(suggested, min(low, suggested), high, interval, drop, noise, edge, smoothed)


def combine(readings: Sequence[Reading]) -> RateSuggestion:
    """The verdict of one or more sweeps of the same range, and whether it can be relied on."""
    found = [reading for reading in readings if reading.suggested is not None]
    confidence = float(np.median([reading.confidence for reading in readings]))
    if not found:
        first = readings[0]
        return RateSuggestion(None, first.low, first.high, first.interval, confidence, ("no descent is seen",))
    each = [reading.suggested for reading in found if reading.suggested is not None]
    interval = found[0].interval if len(readings) == 1 else (min(each), max(each))
    low, high = (float(np.median([getattr(reading, name) for reading in found])) for name in ("low", "high"))
    suggested = float(np.median(each))
    reasons = []
    if confidence < MIN_CONFIDENCE:
        reasons.append(f"the loss falls by {confidence:.1f} times its noise, and {MIN_CONFIDENCE:g} times is the least")
    if interval[1] - interval[0] > MAX_DISAGREEMENT:
        what = "the noise" if len(readings) == 1 else "the seed"
        reasons.append(f"{what} moves the steepest point by {interval[1] - interval[0]:.1f} decades, and 1 is the most")
    if len(found) < len(readings):
        reasons.append(f"{len(readings) - len(found)} of {len(readings)} sweeps see no descent")
    if sum(reading.edge == "bottom" for reading in found) * 2 > len(readings):
        reasons.append("the loss falls steepest where the sweep begins")
    return RateSuggestion(suggested, min(low, suggested), max(high, suggested), interval, confidence, tuple(reasons))


def rules_of_others(rates: Array, losses: Array) -> Mapping[str, float | None]:
    """What other finders would suggest on these points; rates in their own units, None where a rule has too few points.

    fastai 2.8 (valley, steep, minimum): mean smoothed by beta = .98, without the first tenth and the last 5 points.
    Lightning 2.6: the same mean, without the first 10 and the last, differentiated by the rate itself.
    """
    mean = _running_mean(losses, 0.98)
    x, y = rates[len(rates) // 10 : -5], mean[len(rates) // 10 : -5]
    found: dict[str, float | None] = dict.fromkeys(("valley", "steep", "minimum", "lightning"))
    if len(x) >= 2:
        slopes = np.diff(y) / np.diff(np.log(x))
        found["valley"] = float(x[_valley(y)])
        found["steep"] = float(x[int(slopes.argmin())])
        found["minimum"] = float(x[int(y.argmin())]) / 10
    x, y = rates[10:-1], mean[10:-1]
    if len(x) >= 2:
        found["lightning"] = float(x[int(np.gradient(y, x).argmin())])
    return found


def _steepest(x: Array, smoothed: Array) -> int | None:
    """The index of the steepest descent left of the minimum, None when the minimum comes first."""
    lowest = int(smoothed.argmin())
    if lowest == 0:
        return None
    slopes = np.gradient(smoothed, x)[: lowest + 1]
    index = int(slopes.argmin())
    return index if slopes[index] < 0 else None


def _interval(x: Array, y: Array, smoothed: Array) -> tuple[float, float]:
    """The spread of the steepest point when the residuals are laid on the curve shifted round, and with turned signs.

    A bootstrap that draws nothing: the same points always give the same interval.
    """
    count = len(x)
    residuals, found = y - smoothed, []
    for shift in np.unique(np.linspace(0, count - 1, min(count, _SHIFTS)).astype(int)):
        for sign in (1.0, -1.0):
            index = _steepest(x, smooth(x, smoothed + sign * np.roll(residuals, shift)))
            found.append(float(x[index]) if index is not None else float(x[0]))
    low, high = np.quantile(found, (0.05, 0.95))
    return float(low), float(high)


def _edge(x: Array, steepest: int, lowest: int, confidence: float, diverged: bool) -> str:
    """Which end of the range cuts the curve off."""
    if confidence < MIN_CONFIDENCE and diverged:
        return "risen" if x[lowest] - x[0] < 2 * WIDTH else "noisy"
    if confidence < MIN_CONFIDENCE:
        return "flat"
    if x[steepest] - x[0] < 2 * WIDTH:  # the smooth flattens where it has points on one side only
        return "bottom"
    return "top" if not diverged and x[-1] - x[lowest] < WIDTH else ""


def _running_mean(y: Array, beta: float) -> Array:
    """Exponential mean, divided by what its weights sum to so far."""
    mean, out = 0.0, np.empty_like(y)
    for number, value in enumerate(y, start=1):
        mean = beta * mean + (1 - beta) * value
        out[number - 1] = mean / (1 - beta**number)
    return out


def _valley(y: Array) -> int:
    """fastai's rule: the middle of the middle third of the longest decreasing subsequence."""
    lengths = np.ones(len(y), dtype=int)
    for i in range(1, len(y)):
        falling = lengths[:i][y[i] < y[:i]]
        lengths[i] = 1 + (falling.max() if len(falling) else 0)
    end = int(lengths.argmax())
    start = end - int(lengths[end])
    third = (end - start) / 3
    return max(0, start + int(third) + int(third / 2))
