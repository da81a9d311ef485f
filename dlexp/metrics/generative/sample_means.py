"""Means of what each sample has: reconstruction error, bound on its likelihood, distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlexp.metrics.states import Mean, MetricState
from dlexp.types import Prediction


class SampleMeans(MetricState):
    """The mean loss, and the mean of each of some values of `Prediction.extra`, (B,) or (B, ...) whose mean it takes.

    Sums are kept in float64, so that the size of the batches does not matter beyond rounding.

    Args:
        names: Keys of `Prediction.extra`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._loss = Mean()
        self._sums = dict.fromkeys(names, 0.0)

    def update(self, prediction: Prediction) -> None:
        """Add the samples of a batch. Raises KeyError for a value that the prediction does not have."""
        self._loss.add(prediction)
        for name in self._sums:
            values = prediction.extra[name].detach().double().cpu().numpy()
            self._sums[name] += float(np.sum(values.reshape(len(values), -1).mean(axis=1)))

    def merge(self, other: SampleMeans) -> None:
        """Add another state's sums."""
        self._loss.merge(other._loss)
        for name, value in other._sums.items():
            self._sums[name] += value

    def compute(self) -> dict[str, float]:
        """`loss`, and the mean of each name. Raises ValueError when there was no sample."""
        loss = self._loss.value()
        return {"loss": loss, **{name: value / self._loss.count for name, value in self._sums.items()}}
