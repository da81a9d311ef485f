"""Metrics of forecasts, as means over windows, steps and targets.

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.states import Mean, MetricState
from dlexp.types import Prediction


@dataclass(frozen=True)
class Scaling:
    """What errors are divided by: for each series and target, 0 where it is undefined.

    firsts  the number of the first sample of each series
    errors  (series, V)
    """

    firsts: tuple[int, ...]
    errors: tuple[tuple[float, ...], ...]

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


class ForecastState(MetricState):
    """Loss, MAE, RMSE, MASE and sMAPE, as sums; pinball loss where it is asked for."""

    def __init__(self, shape: tuple[int, int], scaling: Scaling, names: Sequence[str] = ()) -> None:
        """Begin without windows.

        Args:
            shape: (H, V).
            scaling: Of the absolute errors.
            names: More metrics: pinball.
        """
        self._shape, self._scaling, self._names = shape, scaling, tuple(names)
        self._loss = Mean()
        # One row each: |e|, e^2, |e| / d, its count, share, pinball.
        self._sums = np.zeros((6, shape[1]))
        self._count = 0

    def update(self, prediction: Prediction) -> None:
        """outputs (B, O), targets (B, O) and extra quantiles, (B, O) each."""
        predicted = prediction.outputs.cpu().double().numpy().reshape(-1, *self._shape)
        true = prediction.known_targets.cpu().double().numpy().reshape(-1, *self._shape)
        errors = ForecastErrors.of(predicted, true, self._scaling.of(prediction.indices.cpu().numpy()))
        bounds = {name: value.cpu().double().numpy() for name, value in prediction.extra.items()}
        lost = np.zeros_like(true)
        if self._names and bounds:
            lost = pinball({name: value.reshape(true.shape) for name, value in bounds.items()}, true)
        rows = (
            errors.absolute,
            errors.squared,
            np.nan_to_num(errors.scaled),
            ~np.isnan(errors.scaled),
            errors.share,
            lost,
        )
        self._sums += np.stack([row.sum(axis=(0, 1)) for row in rows])
        self._count += len(true) * self._shape[0]
        self._loss.add(prediction)

    def merge(self, other: Self) -> None:
        """Add another state's sums."""
        self._sums += other._sums
        self._count += other._count
        self._loss.merge(other._loss)

    def compute(self) -> dict[str, float]:
        """The metrics; MASE is NaN where no training part has a change."""
        loss = self._loss.value()
        absolute, squared, scaled, count, share, lost = self._sums
        found = {
            "loss": loss,
            "mae": float((absolute / self._count).mean()),
            "rmse": float(np.sqrt(squared / self._count).mean()),
            "mase": float(scaled.sum() / count.sum()) if count.any() else float("nan"),
            "smape": float((share / self._count).mean()),
        }
        return found | ({"pinball": float((lost / self._count).mean())} if self._names else {})
