"""Metrics of forecasts, as means over windows, steps and targets; NumPy only.

Symbols: B batch, N windows, H steps of a horizon, V targets, O = H x V outputs, step by step; y true value,
e = predicted - true.

mae    mean |e|, in the unit of the target
rmse   root of the mean e^2, in the unit of the target
mase   mean |e| / d, where d is the mean |y[t] - y[t - m]| of the series over the training part and m the season
       (Hyndman and Koehler 2006); without a unit
smape  mean 2 |e| / (|y| + |predicted|), a share in [0, 2], 0 where both are 0 (the M4 competition's, without its factor
       of 100)
pinball  mean over the quantiles q of max(q (y - o), (q - 1) (y - o)), in the unit of the target

Of several targets, each metric is the mean of those of the targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats

NO_SCALE = "no series changes over a season within its training part"  # the reason why MASE is undefined


@dataclass(frozen=True)
class Scaling:
    """What errors are divided by: for each series and target, 0 where it is undefined.

    firsts  the number of the first sample of each series
    errors  (series, V)
    """

    firsts: tuple[int, ...]
    errors: tuple[tuple[float, ...], ...]

    @property
    def is_defined(self) -> bool:
        """Whether errors of any series can be divided."""
        return any(value > 0 for series in self.errors for value in series)

    def of(self, indices: NDArray[np.int64]) -> Floats:
        """(N, V) of the samples of these numbers, NaN where it is undefined."""
        table = np.array(self.errors, dtype=np.float64)
        table = np.where(table > 0, table, np.nan)
        return np.asarray(table[np.searchsorted(np.array(self.firsts), indices, side="right") - 1])


@dataclass(frozen=True)
class ForecastErrors:
    """The errors of N windows, by metric: (N, H, V) each; the mean of each is the metric, of `squared` its square."""

    absolute: Floats
    squared: Floats
    scaled: Floats
    share: Floats

    @classmethod
    def of(cls, predicted: Floats, true: Floats, scale: Floats) -> ForecastErrors:
        """Of predicted and true values (N, H, V), and what errors are divided by (N, V)."""
        error = np.abs(predicted - true)
        size = np.abs(predicted) + np.abs(true)
        share = np.divide(2 * error, size, out=np.zeros_like(error), where=size > 0)
        return cls(error, error**2, error / scale[:, None], share)

    def metrics(self) -> dict[str, float]:
        """mae, rmse, mase, smape; NaN for one that is undefined."""
        with np.errstate(invalid="ignore"):
            rmse = np.sqrt(self.squared.mean(axis=(0, 1))).mean()
        return {
            "mae": float(self.absolute.mean()),
            "rmse": float(rmse),
            "mase": mean_of_defined(self.scaled),
            "smape": float(self.share.mean()),
        }


def mean_of_defined(values: Floats) -> float:
    """The mean of the numbers that are not NaN, NaN without any."""
    there = ~np.isnan(values)
    return float(values[there].mean()) if there.any() else float("nan")


def pinball(extra: Mapping[str, Floats], true: Floats) -> Floats:
    """(...) pinball loss of each value, the mean over the quantiles; `extra` is q0.1 and so on -> (...)."""
    parts = []
    for name, bound in extra.items():
        share = quantile_of(name)
        short = true - bound
        parts.append(np.maximum(share * short, (share - 1) * short))
    return np.asarray(np.mean(parts, axis=0))


def quantile_of(name: str) -> float:
    """0.1 of q0.1."""
    return float(name.removeprefix("q"))
