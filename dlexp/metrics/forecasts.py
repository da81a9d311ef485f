"""The state of an epoch's metrics of forecasts, see `dlexp.metrics.forecast_errors`.

Symbols: B batch, H steps of a horizon, V targets, O = H x V outputs, step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from dlexp.metrics.forecast_errors import ForecastErrors, Scaling, pinball
from dlexp.metrics.states import Mean, MetricState
from dlexp.types import Prediction


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
