"""Real series that come with dlexp and with matplotlib, without download.

`values/README.md` says where the four series in the public domain come from.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.series.bundling import forecast_bundle
from dlexp.data.series.frequency import Frequency
from dlexp.data.series.parts import WindowOptions
from dlexp.data.series.series_set import Floats, Series, SeriesColumns, SeriesSet, filled
from dlexp.errors import DataError

__all__ = ["co2", "eeg", "elnino", "goog", "nile", "stocks", "sunspots"]


def sunspots(
    *,
    window: int = 33,
    horizon: int = 11,
    stride: int = 1,
    period: int = 11,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
) -> DataBundle:
    """Sunspots of each of the 309 years from 1700 to 2008; the cycle has about 11 years."""
    _, rows = _embedded("sunspots.csv")
    years = np.array([float(row[0]) for row in rows])
    values = np.array([[float(row[1])] for row in rows])
    options = WindowOptions(window, horizon, stride, 0, val_fraction, test_fraction)
    return _one(values, ("sunspots",), years, Frequency("number", 1.0), options, period)


def nile(
    *,
    window: int = 20,
    horizon: int = 5,
    stride: int = 1,
    period: int = 1,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
) -> DataBundle:
    """Flow of the Nile at Aswan in 10^8 cubic meters, each of the 100 years from 1871 to 1970."""
    _, rows = _embedded("nile.csv")
    years = np.array([float(row[0]) for row in rows])
    options = WindowOptions(window, horizon, stride, 0, val_fraction, test_fraction)
    return _one(
        np.array([[float(row[1])] for row in rows]), ("flow",), years, Frequency("number", 1.0), options, period
    )


def co2(
    *,
    window: int = 36,
    horizon: int = 12,
    stride: int = 1,
    period: int = 12,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
) -> DataBundle:
    """CO2 in the air at Mauna Loa in ppm: means of the weeks of each of 526 months from 1958 to 2001.

    Months without a measurement have the value of the month before.
    """
    _, rows = _embedded("co2.csv")
    days = np.array([f"{row[0][:4]}-{row[0][4:6]}-{row[0][6:]}" for row in rows], dtype="datetime64[D]")
    values = np.array([float(row[1]) if row[1] else np.nan for row in rows])
    at = days.astype("datetime64[M]").astype(np.int64)
    at -= at[0]
    seen = ~np.isnan(values)
    total = np.bincount(at[seen], values[seen], minlength=at[-1] + 1)
    count = np.bincount(at[seen], minlength=at[-1] + 1)
    monthly = np.where(count > 0, total / np.maximum(1, count), np.nan)[:, None]
    months = days[0].astype("datetime64[M]") + np.arange(len(monthly))
    options = WindowOptions(window, horizon, stride, 0, val_fraction, test_fraction)
    filled_in = filled(monthly, "forward", ())
    return _one(filled_in, ("co2",), months.astype("datetime64[us]"), Frequency("month"), options, period)


def elnino(
    *,
    window: int = 36,
    horizon: int = 12,
    stride: int = 1,
    period: int = 12,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
) -> DataBundle:
    """Temperature of the sea surface off Peru in degrees Celsius, each of the 732 months from 1950 to 2010."""
    _, rows = _embedded("elnino.csv")
    values = np.array([[float(cell) for cell in row[1:]] for row in rows]).reshape(-1, 1)
    months = np.datetime64(rows[0][0], "M") + np.arange(len(values))
    options = WindowOptions(window, horizon, stride, 0, val_fraction, test_fraction)
    return _one(values, ("temperature",), months.astype("datetime64[us]"), Frequency("month"), options, period)


def goog(
    *,
    window: int = 40,
    horizon: int = 5,
    stride: int = 1,
    period: int = 1,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
) -> DataBundle:
    """Closing price of Google's stock on each of 1,047 trading days from 2004 to 2008, which matplotlib brings.

    Each trading day is a step. Source: matplotlib's sample data, `goog.npz`.
    """
    with np.load(_of_matplotlib("goog.npz")) as archive:
        table = archive["price_data"]
    days = table["date"].astype("datetime64[us]")
    options = WindowOptions(window, horizon, stride, 0, val_fraction, test_fraction)
    return _one(table["close"].astype(np.float64)[:, None], ("close",), days, Frequency("row"), options, period)


def stocks(
    *,
    window: int = 36,
    horizon: int = 6,
    stride: int = 1,
    period: int = 1,
    cut: str = "time",
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
) -> DataBundle:
    """Monthly prices of ten stocks from 1990 on, which matplotlib brings; each is a series from its first price on.

    Source: matplotlib's sample data, `Stocks.csv`.
    """
    with _of_matplotlib("Stocks.csv").open(newline="") as file:
        lines = [line for line in file if not line.startswith("#")]
    header, *rows = list(csv.reader(lines))
    days = np.array([row[0] for row in rows], dtype="datetime64[D]")
    series = []
    for place, name in enumerate(header[1:], 1):
        prices = np.array([float(row[place]) if row[place].strip() else np.nan for row in rows])
        there = np.flatnonzero(~np.isnan(prices))
        inside = slice(there[0], there[-1] + 1)
        values = filled(prices[inside, None], "forward", ())
        months = days[inside].astype("datetime64[M]").astype("datetime64[us]")
        series.append(Series(name, months, values, np.full(len(values), -1)))
    options = WindowOptions(window, horizon, stride, 0, val_fraction, test_fraction, cut)
    found = SeriesSet(None, tuple(series), SeriesColumns(("price",)), Frequency("month"), "time", "")
    return forecast_bundle(found, options, period=period)


def eeg(
    *,
    window: int = 40,
    horizon: int = 8,
    stride: int = 1,
    period: int = 1,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
) -> DataBundle:
    """Electroencephalogram: four electrodes, 800 steps in 10 seconds, which matplotlib brings; all four are forecast.

    Each channel comes scaled to mean 0 and deviation 1; the times are those of matplotlib's own example, in seconds.
    Source: matplotlib's sample data, `eeg.dat`.
    """
    values = np.fromfile(_of_matplotlib("eeg.dat"), dtype="<f8").reshape(-1, 4)
    step = 10 / len(values)
    names = ("electrode_1", "electrode_2", "electrode_3", "electrode_4")
    options = WindowOptions(window, horizon, stride, 0, val_fraction, test_fraction)
    return _one(values, names, step * np.arange(len(values)), Frequency("number", step), options, period)


def _one(
    values: Floats,
    names: tuple[str, ...],
    times: NDArray[np.generic],
    frequency: Frequency,
    options: WindowOptions,
    period: int,
) -> DataBundle:
    series = Series("", times, values, np.full(len(values), -1))
    found = SeriesSet(None, (series,), SeriesColumns(names), frequency, "time", "")
    return forecast_bundle(found, options, period=period)


def _embedded(name: str) -> tuple[list[str], Sequence[list[str]]]:
    """Header and rows of a file of `values/`."""
    lines = files(__package__).joinpath("values", name).read_text(encoding="utf-8").splitlines()
    header, *rows = list(csv.reader(line for line in lines if line.strip()))
    return header, rows


def _of_matplotlib(name: str) -> Path:
    """A file of matplotlib's sample data. Raises DataError where the installed version has none."""
    package = find_spec("matplotlib")
    for place in (package.submodule_search_locations or []) if package else []:
        path = Path(place, "mpl-data", "sample_data", name)
        if path.is_file():
            return path
    rule = f"matplotlib has no sample data {name}"
    raise DataError(rule, remedy="Reinstall matplotlib: pip install --force-reinstall matplotlib", code="not-found")
