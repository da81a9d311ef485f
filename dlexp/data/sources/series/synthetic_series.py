"""The data source `synthetic_series`: trend, seasons and noise of known size."""

from __future__ import annotations

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.data.series.bundling import forecast_bundle
from dlexp.data.series.frequency import Frequency
from dlexp.data.series.parts import WindowOptions
from dlexp.data.series.series_set import Series, SeriesColumns, SeriesSet

__all__ = ["synthetic_series"]

_START = np.datetime64("2000-01-01", "us")
_DAY = np.timedelta64(86_400_000_000, "us")


def synthetic_series(
    *,
    num_series: int = 1,
    num_steps: int = 1000,
    trend: float = 0.5,
    season: float = 1.0,
    noise: float = 0.1,
    data_seed: int = 0,
    window: int = 28,
    horizon: int = 7,
    stride: int = 1,
    period: int = 7,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
) -> DataBundle:
    """Daily series: trend x (share of the series that is over) + season x sin(2 pi t / period + shift) + noise.

    Args:
        num_series: Number of series; each has its own level in [-1, 1] and its own shift of the season.
        num_steps: Steps of each series.
        trend: Rise over the whole series.
        season: Height of the season.
        noise: Standard deviation of the independent normal noise, below which no forecast's RMSE lies.
        data_seed: Seed of levels, shifts and noise.
        window: Steps of the inputs.
        horizon: Steps that are forecast.
        stride: Steps between windows of the training part.
        period: Steps of the season.
        val_fraction: Share of the steps in the val part.
        test_fraction: Share of the steps in the test part.
    """
    series = []
    steps = np.arange(num_steps)
    for number in range(num_series):
        rng = np.random.default_rng([data_seed, number])
        level, shift = (rng.uniform(-1, 1), rng.uniform(0, 2 * np.pi)) if num_series > 1 else (0.0, 0.0)
        wave = np.sin(2 * np.pi * steps / period + shift)
        values = level + trend * steps / max(1, num_steps - 1) + season * wave + noise * rng.standard_normal(num_steps)
        name = f"series {number + 1}" if num_series > 1 else ""
        series.append(Series(name, _START + steps * _DAY, values[:, None], np.full(num_steps, -1)))
    found = SeriesSet(None, tuple(series), SeriesColumns(("value",)), Frequency("second", 86_400), "time", "")
    options = WindowOptions(window, horizon, stride, 0, val_fraction, test_fraction)
    return forecast_bundle(found, options, period=period)
