"""Intervals of the metrics of values; benchmarks/results/interval_coverage.md has how often each method covers.

Symbols: N samples, O targets, R resamples; y true value, e = predicted - true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dlexp.metrics.bootstrap import Floats, Interval, Resampling, intervals, resampled
from dlexp.metrics.intervals.studentized import bootstrap_t, mean_and_error
from dlexp.metrics.regression import EXTREME, ValueSamples
from dlexp.runtime.rounding import power_of_two

STUDENTIZED = "bootstrap-t"
_EXPLAINED = ("r2", "explained_variance")
_POWERS = {"mse": 2, "rmse": 1, "mae": 1, "mean_error": 1}  # of the target's unit
_SMALLEST, _LARGEST = 1e-60, 1e60  # fourth powers of what lies between are finite and not 0
_AT_LEAST_0 = ("mse", "mae", "mape")
_NO_EXTREME = Interval(None, None, 0, "a resample holds no larger error than the sample itself", "")


def value_intervals(found: ValueSamples, resampling: Resampling) -> dict[str, Interval]:
    """Metric -> interval, of each of several targets too, as `rmse` of target 1 under `1/rmse`.

    The median and what is a mean over several targets of roots or shares has percentiles; the rest is studentized.
    """
    seed, count = resampling.seed, len(found)
    sure = intervals(found.statistic(), count, resamples=resampling.resamples, level=resampling.level, seed=seed)
    if np.isfinite(found.predicted).all() and np.isfinite(found.true).all():
        targets = range(found.true.shape[1])
        largest = max(np.abs(found.predicted).max(), np.abs(found.true).max())
        unit = power_of_two(float(largest)) if not _SMALLEST < largest < _LARGEST else 1.0
        predicted, true = found.predicted / unit, found.true / unit
        whole = _Columns(predicted, true)
        parts = {"": whole}
        if not whole.is_single:
            parts |= {f"{n}/": _Columns(predicted[:, [n]], true[:, [n]]) for n in targets}
        for prefix, columns in parts.items():
            for name, interval in _studentized(columns, resampling).items():
                if sure[f"{prefix}{name}"].low is not None:
                    sure[f"{prefix}{name}"] = _in_unit(interval, unit, _POWERS.get(name, 0))
    return {name: _NO_EXTREME if name.rpartition("/")[2] == EXTREME else each for name, each in sure.items()}


def _in_unit(interval: Interval, unit: float, power: int) -> Interval:
    """An interval of values that were divided by `unit`, whose metric grows with its `power`."""
    low, high = (None if bound is None else bound * unit**power for bound in (interval.low, interval.high))
    return replace(interval, low=low, high=high)


class _Columns:
    """Columns (N,) of some targets, whose means over the samples are resampled."""

    def __init__(self, predicted: Floats, true: Floats) -> None:
        error = predicted - true
        shares = np.divide(np.abs(error), np.abs(true), out=np.zeros_like(error), where=true != 0)
        self.means = {
            "mse": (error**2).mean(axis=1),
            "mae": np.abs(error).mean(axis=1),
            "mean_error": error.mean(axis=1),
            "mape": shares.mean(axis=1),
        }
        self.is_single = true.shape[1] == 1
        self.ratios: dict[str, tuple[Floats, Floats]] = {}
        spread = true[:, 0] - true[:, 0].mean()
        if self.is_single and spread.any():
            unbiased = error[:, 0] - error[:, 0].mean()
            self.ratios = {"r2": (error[:, 0], spread), "explained_variance": (unbiased, spread)}

    def drawn(self, counts: Floats) -> dict[str, Floats]:
        """Metric -> its value over each resample, (R,), and `metric/error` -> sqrt(N) times its standard error."""
        found = {}
        for name, column in self.means.items():
            found[name], found[f"{name}/error"] = mean_and_error(counts, column)
        for name, (error, spread) in self.ratios.items():
            found[name], found[f"{name}/error"] = _ratio_and_error(counts, error, spread, name == "explained_variance")
        return found


@np.errstate(divide="ignore", invalid="ignore")  # a resample of one target has no share, and is left out
def _ratio_and_error(counts: Floats, error: Floats, spread: Floats, is_centered: bool) -> tuple[Floats, Floats]:
    """1 - mean e^2 / variance of y, (R,), and its error by the influence of each sample on the ratio."""
    samples = counts.sum(axis=1)
    left, off, middle, squares = (counts @ column / samples for column in (error**2, error, spread, spread**2))
    left, variance = left - off**2 if is_centered else left, squares - middle**2
    ratio = left / variance
    fourth = [counts @ column / samples for column in (error**4, error**2 * spread**2, spread**4)]
    squared = fourth[0] - 2 * ratio * fourth[1] + ratio**2 * fourth[2]
    return 1 - ratio, np.sqrt(np.maximum(squared, 0.0)) / variance


def _studentized(columns: _Columns, resampling: Resampling) -> Mapping[str, Interval]:
    value = columns.drawn(np.ones((1, len(columns.means["mse"]))))
    made = {"resamples": resampling.resamples, "seed": resampling.seed}
    drawn = resampled(columns.drawn, len(columns.means["mse"]), **made)
    found = {}
    for name in (*columns.means, *columns.ratios):
        error = f"{name}/error"
        own = float(value[name][0]), float(value[error][0])
        bounds = bootstrap_t(own, (drawn[name], drawn[error]), resampling.level)
        if bounds is None or not np.isfinite(own).all():
            continue
        low, high = bounds
        if name in _AT_LEAST_0:
            low = max(0.0, low)
        elif name in _EXPLAINED:
            high = min(1.0, high)
        found[name] = Interval(low, high, method=STUDENTIZED)
        if name == "mse" and columns.is_single:
            found["rmse"] = Interval(low**0.5, high**0.5, method=STUDENTIZED)
    return found
