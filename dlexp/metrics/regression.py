"""Metrics of numbers, over any number of resamples at once.

Symbols: B batch, N samples, O targets, R resamples; y true value, e = predicted - true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.row_store import RowStore
from dlexp.metrics.states import MetricState
from dlexp.runtime.rounding import power_of_two, rounding
from dlexp.types import Prediction

_CANCELLED = 1e-14  # of a sum of squares: what rounding leaves where the rest should be 0
EXTREME = "max_error"  # a resample holds no larger error than the sample does: no interval comes from it


@dataclass(frozen=True)
class ValueSamples:
    """Values of N samples in the units of the targets: predicted and true, (N, O) each."""

    predicted: Floats
    true: Floats

    def __len__(self) -> int:
        return len(self.true)

    def losses(self, scale: Sequence[float]) -> Floats:
        """(N,) error of each sample: root of the mean over the targets of (error / scale)^2, `scale` O numbers."""
        return np.asarray(np.sqrt((((self.predicted - self.true) / np.asarray(scale)) ** 2).mean(axis=1)))

    def statistic(self) -> Callable[[Floats], dict[str, Floats]]:
        """A function of counts (R, N): metric -> mean over the targets, (R,), NaN where one of them has none.

        Of each target too, as `rmse` of target 1 under `1/rmse`.
        """
        each = [of_values(self.predicted[:, n], self.true[:, n]) for n in range(self.true.shape[1])]

        @np.errstate(invalid="ignore", over="ignore")  # values that are not finite show as NaN
        def of(counts: Floats) -> dict[str, Floats]:
            own = [one(counts) for one in each]
            means = {name: np.stack([found[name] for found in own]).mean(axis=0) for name in own[0]}
            return means | {f"{n}/{name}": column for n, found in enumerate(own) for name, column in found.items()}

        return of

    def chosen(self, names: Sequence[str]) -> dict[str, float]:
        """The metrics `names` alone; NaN for one that is undefined."""
        found = self.statistic()(np.ones((1, len(self))))
        return {name: float(found[name][0]) for name in names}

    def why(self, name: str) -> str:
        """The reason why a metric has no value."""
        finite = np.isfinite(self.predicted) & np.isfinite(self.true)
        if not finite.all():
            return f"{int((~finite.all(axis=1)).sum()):,} of {len(self):,} samples are not finite"
        if name == "mape" and (self.true == 0).any():
            return f"{int((self.true == 0).any(axis=1).sum()):,} of {len(self):,} true values are 0"
        return "there is one sample" if len(self) == 1 else "it is too large or too small for a float64 number"


@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def of_values(predicted: Floats, true: Floats) -> Callable[[Floats], dict[str, Floats]]:
    """A function of counts (R, N) for predicted (N,) and true (N,): metrics, (R,) each; NaN where a resample has none.

    mse, rmse, mae, median_absolute_error, max_error and mean_error (positive: predicted too high) are in the unit of
    the target or its square. r2 is 1 - sum e^2 / sum (y - mean y)^2; explained_variance is the same with the mean taken
    off e. mape is the mean of |e / y|, a share, and undefined where some y is 0.
    """
    error, zero = predicted - true, true == 0
    shares = np.where(zero, 0.0, np.abs(error / true))
    largest_of_all = np.abs([predicted, true]).max()
    middle_of_all = _mean(true)
    unit = _unit(error, true - middle_of_all)
    error, spread_out = error / unit, (true - middle_of_all) / unit
    # Centered, or the squares of numbers far from 0 leave nothing of their spread; equal ones become 0 exactly.
    bias = _mean(error)
    centered = spread_out if true.min() < true.max() else np.zeros_like(true)
    unbiased = error - bias
    columns = np.stack([error**2, np.abs(error), unbiased, unbiased**2, centered, centered**2, shares, zero], axis=1)
    order = np.argsort(np.abs(error), kind="stable")
    sizes = np.abs(error)[order]
    # What a difference of two sums leaves of equal numbers, and what rounding makes of equal errors.
    least_variance, least_rest = _CANCELLED * columns[:, 5].mean(), _CANCELLED * columns[:, 3].mean()
    smallest = float(rounding(largest_of_all / unit))  # of an error that is no rounding
    least_rest = max(least_rest, smallest * smallest)

    def of(counts: Floats) -> dict[str, Floats]:
        samples = counts.sum(axis=1)
        squared, absolute, mean, rest, middle, spread, share, zeros = (counts @ columns).T / samples
        variance = spread - middle**2
        is_constant = variance <= least_variance
        rest = np.maximum(rest - mean**2, 0)
        by_size = np.cumsum(counts.take(order, axis=1), axis=1)
        places = [np.floor((samples - 1) / 2), np.floor(samples / 2)]
        middles = [sizes[(by_size > place[:, None]).argmax(axis=1)] for place in places]
        largest = sizes[(by_size >= samples[:, None]).argmax(axis=1)]
        alone = samples < 2
        mse = squared * unit * unit
        return {
            "mse": np.where(((mse > 0) == (squared > 0)) & np.isfinite(mse), mse, np.nan),
            "rmse": np.sqrt(squared) * unit,
            "mae": absolute * unit,
            "median_absolute_error": (middles[0] + middles[1]) / 2 * unit,
            EXTREME: largest * unit,
            "mean_error": (bias + mean) * unit,
            "r2": np.where(alone, np.nan, _explained(squared, variance, is_constant, squared == 0)),
            "explained_variance": np.where(alone, np.nan, _explained(rest, variance, is_constant, rest <= least_rest)),
            "mape": np.where(zeros > 0, np.nan, share),
        }

    return of


def _mean(values: Floats) -> float:
    """Their mean; of equal numbers exactly their value."""
    return float(values.mean() if values.min() < values.max() else values[0])


def _unit(*values: Floats) -> float:
    """A power of two that their squares are taken in, so that none overflows or vanishes."""
    return power_of_two(float(max(np.abs(each).max() for each in values)))


def _explained(left: Floats, variance: Floats, is_constant: NDArray[np.bool_], is_exact: NDArray[np.bool_]) -> Floats:
    """1 - left / variance; of targets that are all the same 1 for an exact prediction and 0 for any other."""
    share = 1 - np.divide(left, variance, out=np.zeros_like(left), where=~is_constant)
    return np.where(is_constant, is_exact.astype(np.float64), share)


class ValueSampleState(MetricState):
    """The predicted and true values of every sample, since a median and an interval need all of them.

    It keeps 16 O + 8 bytes a sample, and 8 O more for each extra value, such as a quantile.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        """Begin without samples; `compute` returns the metrics `names`."""
        self._names = tuple(names)
        self._predicted, self._true, self._indices = RowStore[Any](), RowStore[Any](), RowStore[np.int64]()
        self._extra: dict[str, RowStore[Any]] = {}

    @property
    def num_bytes(self) -> int:
        """Bytes that the samples take."""
        stores = (self._predicted, self._true, self._indices, *self._extra.values())
        return sum(store.num_bytes for store in stores)

    def update(self, prediction: Prediction) -> None:
        """Add a batch: outputs, targets and extra values, (B, O) each."""
        self._predicted.append(prediction.outputs.cpu().double().numpy())
        self._true.append(prediction.known_targets.cpu().double().numpy())
        self._indices.append(prediction.indices.cpu().numpy())
        for name, values in prediction.extra.items():
            self._extra.setdefault(name, RowStore[Any]()).append(values.cpu().double().numpy())

    def merge(self, other: Self) -> None:
        """Add the samples of another state, after those of this one."""
        self._predicted.extend(other._predicted)
        self._true.extend(other._true)
        self._indices.extend(other._indices)
        for name, values in other._extra.items():
            self._extra.setdefault(name, RowStore[Any]()).extend(values)

    def compute(self) -> dict[str, float]:
        """The metrics `names`, means over the targets; NaN for one that is undefined."""
        return self.samples().chosen(self._names) if self._names else {}

    def samples(self) -> ValueSamples:
        """All samples. Raises ValueError when there are none."""
        if not len(self._true):
            raise ValueError("no sample was evaluated")
        return ValueSamples(self._predicted.joined(), self._true.joined())

    def indices(self) -> NDArray[np.int64]:
        """(N,) the number of each sample in its source."""
        return self._indices.joined()

    def extra(self) -> dict[str, Floats]:
        """Name -> more values of each target, (N, O)."""
        return {name: values.joined() for name, values in self._extra.items()}
