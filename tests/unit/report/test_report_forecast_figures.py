"""Forecasts are drawn over the times of their series, and over steps where nobody knows the times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.dates import num2date
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlexp.metrics.reports.figures import Forecasts
from dlexp.report.figures.sequences import forecasts

BEGINS = np.array([10, 13, 19])


def drawn(times: NDArray[Any] | None, monkeypatch: pytest.MonkeyPatch) -> Figure:
    """The figure of three forecasts of three steps, of which the last begins after a gap."""
    kept: list[Figure] = []
    monkeypatch.setattr(forecasts, "as_png", lambda made: kept.append(made) or b"")
    values = np.arange(9.0).reshape(3, 3)
    figure = Forecasts("", "load", BEGINS, values, values, {"q0.1": values - 1, "q0.9": values + 1}, times)
    forecasts.forecasts_png(figure, "test")
    return kept[0]


def test_times_are_the_axis_where_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    days = np.datetime64("2024-01-01", "us") + (BEGINS[:, None] + np.arange(3)) * np.timedelta64(1, "D")
    (axes,) = drawn(days, monkeypatch).axes
    assert axes.get_xlabel() == "time"
    shown = [num2date(at).date().isoformat() for at in axes.lines[0].get_xdata(orig=False)]
    assert shown == [f"2024-01-{day}" for day in range(11, 17)]  # the true values stop where windows are missing
    (axes,) = drawn(1900.0 + BEGINS[:, None] + np.arange(3), monkeypatch).axes
    assert axes.lines[0].get_xdata()[0] == 1910


def test_steps_are_the_axis_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    (axes,) = drawn(None, monkeypatch).axes
    assert axes.get_xlabel() == "step of the series"
    assert axes.lines[1].get_xdata().tolist() == [19, 20, 21]
