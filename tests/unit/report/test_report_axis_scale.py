"""Ranges, ticks and labels of the axes of charts."""

from __future__ import annotations

import math

import pytest

from dlexp.report.figures.charts.axis_scale import linear_scale, log_scale

pytestmark = pytest.mark.pictures


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.0, 2.0], ("0.0", "0.5", "1.0", "1.5", "2.0")),
        ([0.0, 1.1], ("0.0", "0.2", "0.4", "0.6", "0.8", "1.0")),
        ([0.1, 0.103], ("0.1000", "0.1005", "0.1010", "0.1015", "0.1020", "0.1025", "0.1030")),
        ([-3.0, 3.0], ("-3", "-2", "-1", "0", "1", "2", "3")),
        ([0.0, 2e-7], ("0", "5e-08", "1e-07", "1.5e-07", "2e-07")),
        ([1.0e7, 1.1e7], ("1e+07", "1.02e+07", "1.04e+07", "1.06e+07", "1.08e+07", "1.1e+07")),
    ],
)
def test_ticks_are_round_and_their_labels_tell_them_apart(values: list[float], labels: tuple[str, ...]) -> None:
    scale = linear_scale(values, 7)
    assert scale.labels == labels
    assert [float(label) for label in labels] == pytest.approx(scale.ticks)
    assert scale.low < min(values) <= max(values) < scale.high


def test_shares_are_in_percent_and_epochs_whole() -> None:
    assert linear_scale([0.5, 1.0], 7, percent=True).labels[-1] == "100 %"
    assert linear_scale([1, 2, 3], 8, integers=True).labels == ("1", "2", "3")
    assert linear_scale([1], 8, integers=True).labels == ("1",)


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf, math.nan], [0.0], [5.0, 5.0], [-1e-30], [1e300, -1e300]])
def test_a_scale_has_a_range_whatever_the_values_are(values: list[float]) -> None:
    scale = linear_scale(values, 7)
    assert math.isfinite(scale.low) and scale.low < scale.high
    assert len(scale.ticks) == len(scale.labels) == len(set(scale.labels)) >= 2


def test_a_logarithmic_scale_has_the_powers_where_they_are_many() -> None:
    assert log_scale([0.1, 4.0]).labels == ("0.1", "0.2", "0.5", "1", "2")
    assert log_scale([1e-3, 100.0]).labels == ("0.001", "0.01", "0.1", "1", "10", "100")
    assert len(log_scale([1e-30, 1e30]).ticks) <= 8


def test_places_are_between_the_ends_in_equal_ratios_on_a_logarithmic_axis() -> None:
    scale = log_scale([1.0, 100.0])
    low, middle, high = scale.share([1.0, 10.0, 100.0])
    assert 0 < low < high < 1
    assert middle == pytest.approx((low + high) / 2)
    assert not math.isfinite(scale.share([math.nan])[0])
