"""Forecasts that need no network: the last value, the last season, and a ridge regression of the window.

Symbols: N windows, L steps of a window, H of a horizon, V targets, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import Split
from dlexp.data.series.windows import WindowInputs, WindowTargets

Floats = NDArray[np.float64]
NAIVE, SEASONAL, RIDGE = "naive", "seasonal_naive", "ridge"
_MOST_WINDOWS = 20_000  # that the ridge is fitted on, at equal distances
_ALPHAS = tuple(10.0**power for power in range(-3, 6))


def reference_forecasts(splits: Mapping[str, Split], split: str, period: int, series: NDArray[np.int64]) -> dict[str, Floats]:
    """Name -> forecasts (N, H, V) of the windows of a split, in the units of the targets.

    naive           the last value before the forecast
    seasonal_naive  the values of the last known season of `period` steps, without a season left out
    ridge           one linear map of the window (L x C) to the horizon; its penalty is chosen on the val split

    series  (M,) the first step of the series of each step
    """
    targets = splits[split].targets
    assert isinstance(targets, WindowTargets)
    firsts, values = targets.firsts.numpy(), targets.values.numpy()
    last = values[firsts - 1][:, None]
    found = {NAIVE: np.repeat(last, targets.length, axis=1)}
    if period > 1:
        ahead = np.arange(targets.length)
        at = firsts[:, None] + ahead - period * (ahead // period + 1)
        seasonal = values[np.maximum(at, 0)]
        # A series that began less than a season ago has its last value alone.
        lacks = (at < series[firsts][:, None])[:, :, None] | np.isnan(seasonal)
        found[SEASONAL] = np.where(lacks, found[NAIVE], seasonal)
    return {**found, RIDGE: ridge_forecasts(splits, split)}


def ridge_forecasts(splits: Mapping[str, Split], split: str) -> Floats:
    """(N, H, V) by ridge regression of the standardized targets on the inputs, fitted on the training split alone."""
    from sklearn.linear_model import Ridge

    x, y, middle, scale = _fitting_set(splits["train"])
    x_val, y_val = _inputs(splits["val"]), _targets(splits["val"])
    best, chosen = np.inf, None
    for alpha in _ALPHAS:
        model = Ridge(alpha=alpha * len(x) / 1000).fit(x, y)
        error = float(np.abs((_predicted(model, x_val) * scale + middle) - y_val).mean())
        if chosen is None or error < best:
            best, chosen = error, model
    assert chosen is not None
    found = _predicted(chosen, _inputs(splits[split])) * scale + middle
    return np.asarray(found.reshape(len(found), *_shape(splits[split])))


def _predicted(model: object, x: Floats) -> Floats:
    found = model.predict(x)  # type: ignore[attr-defined]
    return np.asarray(found).reshape(len(x), -1)


def _fitting_set(train: Split) -> tuple[Floats, Floats, Floats, Floats]:
    x, y = _inputs(train, _MOST_WINDOWS), _targets(train, _MOST_WINDOWS)
    middle, scale = y.mean(axis=0), y.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return x, (y - middle) / scale, middle, scale


def _chosen(count: int, most: int | None) -> slice:
    return slice(0, count, 1 if most is None else max(1, -(-count // most)))


def _inputs(split: Split, most: int | None = None) -> Floats:
    assert isinstance(split.inputs, WindowInputs)
    found = next(iter(split.inputs.read([_chosen(len(split), most)]))).values
    return np.asarray(found.flatten(1).double().numpy())


def _targets(split: Split, most: int | None = None) -> Floats:
    assert isinstance(split.targets, WindowTargets)
    return np.asarray(next(iter(split.targets.read([_chosen(len(split), most)]))).flatten(1).numpy())


def _shape(split: Split) -> tuple[int, ...]:
    assert isinstance(split.targets, WindowTargets)
    return split.targets.shape
