"""Spellings of values: which cells mean the same, which are numbers, which mean that nothing is there."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from dlexp.data.tables.numerals import reading_of
from dlexp.data.tables.spelling import MISSING, Marks, cell_identity, number_in, other_number

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    "cells",
    [
        ("1", "1.0", "+1", "1e0", "1.", "10e-1"),
        ("0", "-0", "0.0", "-0.0"),
        ("94103", "94103.0", "9.4103e4"),
        ("0.5", ".5", "0.50", "5e-1"),
        ("100000000000000000000", "1e+20", "1e20"),
        ("9007199254740993", "9007199254740993.0"),
        ("9007199254740993.5", "9007199254740993.50"),
        ("true", "True", "TRUE"),
        ("2024-05-01", "2024-05-01 00:00:00", "2024-05-01T00:00", "2024-05-01 00:00:00.000000"),
        ("2024-05-01 10:30:00", "2024-05-01T10:30:00.000", "2024-05-01 10:30"),
        ("2024-05-01 10:30:00+02:00", "2024-05-01T08:30:00Z", "2024-05-01 08:30:00.000000+0000"),
        ("12:30:00", "12:30:00.000000"),
        ("1 days 00:00:00", "86400", "1 days"),
    ],
)
def test_cells_of_one_value_are_one(cells: tuple[str, ...]) -> None:
    assert len({cell_identity(cell) for cell in cells}) == 1
    assert cell_identity(cell_identity(cells[0])) == cell_identity(cells[0])


@pytest.mark.parametrize(
    "cells",
    [
        ("01234", "1234", "001234"),
        ("9007199254740992", "9007199254740993"),
        ("9223372036854775808", "9223372036854775809", "9223372036854775808.5"),
        ("true", "1", "yes"),
        ("2024-05-01 10:30:00", "2024-05-01 10:30:00+00:00", "2024-05-01 10:30:00.5", "2024-05-01"),
        ("2024-13-45 10:30:00Z", "2024-13-45"),
        ("12:30", "12:30:00"),
        ("nan", "NaN", "inf", "1_000", "1000"),
        ("red", "Red", "RED"),
    ],
)
def test_cells_of_different_values_are_apart(cells: tuple[str, ...]) -> None:
    assert len({cell_identity(cell) for cell in cells}) == len(cells)


def test_durations_are_seconds_as_pandas_writes_them() -> None:
    spans = [timedelta(0), timedelta(seconds=-1.5), timedelta(days=3, hours=2, microseconds=7), timedelta(days=-4)]
    texts = pd.Series(spans).astype("timedelta64[us]").to_csv(index=False, header=False).split("\n")[:-1]
    assert [number_in(text) for text in texts] == [span.total_seconds() for span in spans]


def test_moments_in_zones_are_those_of_datetime() -> None:
    for text in ("2024-03-31 01:59:59.123456+05:45", "1999-12-31T23:30:00-03:30", "2024-02-29 00:00:00Z"):
        moment = datetime.fromisoformat(cell_identity(text))
        assert moment == datetime.fromisoformat(text) and moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1,200", "a thousands separator"),
        ("1'200.50", "a thousands separator"),
        ("1 200", "a thousands separator"),
        ("1.200,50", "a thousands separator"),
        ("12%", "a percent sign"),
        ("12.5 %", "a percent sign"),
        ("3,5", "a decimal comma"),
        ("$12", "a currency sign"),
        ("12.50 \u20ac", "a currency sign"),
        ("(120)", "parentheses"),
        ("\u22125", "a typographic minus sign"),
        ("1_000", "underscores"),
        *((cell, "") for cell in ("red", "12", "3a", "A1", "12:30", "2024-05-01", "1-2", "", "a,b", "%")),
    ],
)
def test_numbers_for_people_are_known_by_what_is_special(cell: str, expected: str) -> None:
    assert other_number(cell) == expected


@pytest.mark.parametrize("mark", ["-999", "-999.0", "-9.99e2", " -999.00 "])
def test_a_mark_that_is_a_number_is_found_by_value(mark: str) -> None:
    for dtype in (np.int16, np.int64, np.float32, np.float64):
        marks = Marks([mark])
        assert marks.among(np.array([1, -999, 3], dtype=dtype)).tolist() == [False, True, False]
        assert marks.unmatched() == []
    texts = Marks([mark])
    cells = ("-999", "-999.0", "-9.990E+02", "-99.9")
    assert [texts.matches(cell, number_in(cell)) for cell in cells] == [True, True, True, False]


def test_marks_keep_what_float32_and_large_numbers_need() -> None:
    assert Marks(["-999.9"]).among(np.array([-999.9, 1], dtype=np.float32)).tolist() == [True, False]
    large = np.array([2**53, 2**53 + 1])
    assert Marks([str(2**53 + 1)]).among(large).tolist() == [False, True]
    assert not Marks([str(2**53 + 1)]).matches(str(2**53), float(2**53))
    assert not Marks(["300"]).among(np.array([44], dtype=np.uint8)).any()
    assert not Marks(["0"]).matches("00000", 0.0), "a code of zeros is no number"


def test_marks_that_are_no_numbers_are_compared_by_what_they_mean() -> None:
    marks = Marks(["False", "1900-01-01", "gone", "never"])
    cells = ("false", "1900-01-01 00:00:00", "gone", "Gone", "true")
    assert [marks.matches(cell, number_in(cell)) for cell in cells] == [True, True, True, False, False]
    assert marks.unmatched() == ["never"]
    assert Marks(MISSING).unmatched() == []


def test_the_defaults_are_in_one_place() -> None:
    found = yaml.safe_load((ROOT / "conf" / "data" / "_table.yaml").read_text())["missing_values"]
    assert tuple(found) == MISSING
    assert {"NULL", "None", "#N/A", "<NA>", "n/a", "NaT"} <= set(found)
    for name in ("csv", "parquet"):
        assert "missing_values" not in (ROOT / "conf" / "data" / f"{name}.yaml").read_text()


@pytest.mark.parametrize("cell", ["nan", "inf", "1_0", "1e400", "0x1f", "", "1 day, 0:00:00"])
def test_words_and_what_is_not_finite_are_no_numbers(cell: str) -> None:
    assert number_in(cell) is None


def test_every_float_keeps_its_identity() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**64, 2000, dtype=np.uint64).view(np.float64)
    for value in bits[np.isfinite(bits)].tolist():
        text = cell_identity(repr(value))
        assert float(text) == value
        assert abs(value) >= 2**53 or cell_identity(f"{value:.17e}") == text


def test_numbers_grouped_as_in_india_are_numbers() -> None:
    reading = reading_of({"\u20b9 1,23,456": 1, "\u20b9 12,34,567.50": 1, "\u20b9 999": 1})
    (style,) = reading.styles
    cells = ("\u20b9 1,23,456", "12,34,567.50", "1,23,45")
    assert [style.read(cell) for cell in cells] == [
        "123456",
        "1234567.50",
        None,
    ]
