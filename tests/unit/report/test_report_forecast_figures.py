"""Forecasts are drawn over the times of their series, and over steps where nobody knows the times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlexp.metrics.reports.figures import Forecasts
from dlexp.report.figures.sequences import forecasts

BEGINS = np.array([10, 13, 19])


def drawn(times: NDArray[Any] | None, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[NDArray[Any]]]:
    """(the name of the axis, the places of each line) of three forecasts of three steps, the last one after a gap."""
    kept: list[Figure] = []

    def keep(made: Figure) -> bytes:
        kept.append(made)
        return b""

    monkeypatch.setattr(forecasts, "as_png", keep)
    values = np.arange(9.0).reshape(3, 3)
    figure = Forecasts("", "load", BEGINS, values, values, {"q0.1": values - 1, "q0.9": values + 1}, times)
    forecasts.forecasts_png(figure, "test")
    (axes,) = kept[0].axes
    return axes.get_xlabel(), [np.asarray(line.get_xdata(orig=True)) for line in axes.lines]


def test_times_are_the_axis_where_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    days = np.datetime64("2024-01-01", "us") + (BEGINS[:, None] + np.arange(3)) * np.timedelta64(1, "D")
    label, lines = drawn(days, monkeypatch)
    assert label == "time"
    assert lines[0].astype("datetime64[D]").astype(str).tolist() == [f"2024-01-{day}" for day in range(11, 17)]
    _, lines = drawn(1900.0 + BEGINS[:, None] + np.arange(3), monkeypatch)
    assert lines[1].tolist() == [1919, 1920, 1921]  # after the windows that are missing


def test_steps_are_the_axis_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    label, lines = drawn(None, monkeypatch)
    assert (label, lines[1].tolist()) == ("step of the series", [19, 20, 21])
