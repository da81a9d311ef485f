"""Forecasts that need no network: the last value, the last season, and a ridge regression of the window.

Symbols: N windows, L steps of a window, H of a horizon, V targets, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import Split
from dlexp.data.series.windows import WindowInputs, WindowTargets

Floats = NDArray[np.float64]
NAIVE, SEASONAL, RIDGE = "naive", "seasonal_naive", "ridge"
_MOST_WINDOWS = 20_000  # that the ridge is fitted on, at equal distances
# Penalties, as shares of the number of windows.
_ALPHAS = tuple(10.0**power for power in range(-6, 2))


def reference_forecasts(
    splits: Mapping[str, Split], split: str, period: int, series: NDArray[np.int64]
) -> dict[str, Floats]:
    """Name -> forecasts (N, H, V) of the windows of a split, in the units of the targets.

    naive           the last value before the forecast
    seasonal_naive  the values of the last known season of `period` steps, without a season left out
    ridge           one linear map of the window (L x C) to the horizon, see `ridge_forecasts`

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
    """(N, H, V) by ridge regression, fitted on the training split alone; the penalty with the least error on val.

    The targets of window and horizon are taken from the last value of the window, as the naive forecast is, so that
    a level that training never saw is no extrapolation.
    """
    from sklearn.linear_model import Ridge

    x, y, _ = _problem(splits["train"], _MOST_WINDOWS)
    scale = y.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    x_val, y_val, _ = _problem(splits["val"], _MOST_WINDOWS)
    best, chosen = np.inf, None
    for alpha in _ALPHAS:
        model = Ridge(alpha=alpha * len(x)).fit(x, y / scale)
        error = float(np.abs(_predicted(model, x_val) * scale - y_val).mean())
        if chosen is None or error < best:
            best, chosen = error, model
    assert chosen is not None
    inputs, _, last = _problem(splits[split])
    found = _predicted(chosen, inputs) * scale
    whole = found.reshape(len(found), -1, last.shape[-1]) + last[:, None]
    return np.asarray(whole)


def _predicted(model: Any, x: Floats) -> Floats:
    return np.asarray(model.predict(x)).reshape(len(x), -1)


def _problem(split: Split, most: int | None = None) -> tuple[Floats, Floats, Floats]:
    """Inputs (N, L x C) and targets (N, H x V) from the last values, and these (N, V)."""
    inputs, targets = split.inputs, split.targets
    assert isinstance(inputs, WindowInputs) and isinstance(targets, WindowTargets)
    chosen = slice(0, len(split), 1 if most is None else max(1, -(-len(split) // most)))
    count = targets.values.shape[1]
    last = targets.values[targets.firsts[chosen] - 1].numpy()
    x = next(iter(inputs.read([chosen]))).values.double().numpy().copy()
    x[:, :, :count] -= x[:, -1:, :count]
    y = next(iter(targets.read([chosen]))).numpy() - last[:, None]
    return x.reshape(len(x), -1), y.reshape(len(y), -1), last
