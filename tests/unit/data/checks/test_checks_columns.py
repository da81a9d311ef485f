"""Checks of columns: each finds what is planted, and nothing in clean columns."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dlexp.data.checks.columns import constant_columns, missing_cells, outliers, redundant, unnormalized
from dlexp.data.checks.leakage import leaks, predictability
from dlexp.data.tables.original_units import ColumnValues

RNG = np.random.default_rng(0)
COUNT = 400
A, B = RNG.normal(5, 2, COUNT), RNG.normal(-1, 9, COUNT)
NAMES = [("red", "green", "blue")[number] for number in RNG.integers(0, 3, COUNT)]
CLEAN: dict[str, ColumnValues] = {"a": A, "b": B, "color": NAMES}


def lines(rows: NDArray[np.int64]) -> list[str]:
    return [f"line {row + 2}" for row in rows]


def test_clean_columns_have_no_findings() -> None:
    labels = {"label": RNG.integers(0, 2, COUNT)}
    assert constant_columns(CLEAN, (), {}) == []
    assert redundant(CLEAN, {}) == []
    assert outliers({**CLEAN, "uniform": RNG.random(COUNT)}, lines, "") == []
    assert missing_cells({}, COUNT, {}) == []
    assert leaks(CLEAN, labels, {}) == []
    assert unnormalized(["a", "b"], np.array([0.0, 0.5]), np.array([1.0, 3.0]), "") == []


def test_constant_columns_read_or_left_out() -> None:
    seen, unread = constant_columns(
        {**CLEAN, "one": np.full(COUNT, 3.0), "same": ["x"] * COUNT}, ["flat"], {"id": "drop"}
    )
    assert (seen.severity, seen.where, seen.remedy) == (
        "warning",
        ("one", "same"),
        "'data.columns={id:drop,one:drop,same:drop}'",
    )
    assert unread.where == ("flat",)
    assert constant_columns({"one": np.full(COUNT, 3.0)}, (), None)[0].remedy == ""


def test_columns_that_say_the_same_in_other_words() -> None:
    german = [{"red": "rot", "green": "gruen", "blue": "blau"}[name] for name in NAMES]
    (found,) = redundant({**CLEAN, "minus": -3 * A + 7, "farbe": german, "near": A + RNG.normal(0, 0.3, COUNT)}, {})
    assert found.where == ("a = minus", "color = farbe")
    assert found.remedy == "'data.columns={minus:drop,farbe:drop}'"
    assert redundant({"one": np.zeros(9), "other": np.ones(9)}, {}) == []  # constant columns are another finding


def test_outliers_are_counted_named_and_told_from_codes_for_missing() -> None:
    some, coded = A.copy(), B.copy()
    some[[3, 8]] = 5 + 20 * 1.5, 5 - 17 * 1.5  # deviations of about 1.35
    coded[11] = 99999
    far, near = outliers({"some": some, "coded": coded, "color": NAMES}, lines, "is it a code?")
    assert (far.severity, near.severity) == ("warning", "note")
    assert (far.remedy, near.remedy) == ("is it a code?", "")
    assert far.where[0].startswith("coded: 1, ") and "99999 in line 13" in far.where[0]
    assert near.where[0].startswith("some: 2, ") and "35 in line 5" in near.where[0]
    two_heaps = np.where(RNG.random(COUNT) < 0.7, 0.0, 50.0) + RNG.normal(0, 1, COUNT)
    mostly_zero = np.where(RNG.random(COUNT) < 0.9, 0.0, A)
    assert outliers({"two": two_heaps, "zero": mostly_zero}, lines, "") == []


def test_features_far_from_mean_zero_and_deviation_one() -> None:
    mean, std = np.array([0.0, 3.0, 0.0, 0.0, 7.0]), np.array([1.0, 1.0, 0.01, 200.0, 0.0])
    (found,) = unnormalized(list("abcde"), mean, std, "data.standardize=true")
    assert [place[0] for place in found.where] == ["b", "c", "d"]  # e is constant, which is another finding
    assert found.remedy == "data.standardize=true"


def test_missing_cells_few_and_most() -> None:
    mostly, some = missing_cells({"a": (300, ["line 2", "line 3"]), "b": (1, ["line 9"])}, COUNT, {})
    assert (mostly.severity, mostly.where, mostly.remedy) == (
        "warning",
        ("a: 300 (75.0 %), such as line 2",),
        "'data.columns={a:drop}'",
    )
    (place,) = some.where
    assert some.severity == "note" and place.startswith("b: 1 (0.2 %)") and place.endswith("line 9")


@pytest.mark.parametrize("order", ["drawn", "sorted"])
def test_a_column_that_is_the_target_of_classes_is_a_leak(order: str) -> None:
    labels = RNG.integers(0, 3, COUNT)
    labels = np.sort(labels) if order == "sorted" else labels
    codes = np.array([70.0, -3.0, 20.0])[labels] + RNG.normal(0, 1, COUNT)  # not in the order of the classes
    words = [("x", "y", "z")[number] for number in labels]
    noisy = labels + RNG.normal(0, 0.6, COUNT)
    (found,) = leaks({**CLEAN, "codes": codes, "words": words, "noisy": noisy}, {"label": labels}, {})
    assert [place.partition(":")[0] for place in found.where] == ["codes", "words"]
    assert found.severity == "warning"
    assert found.remedy == "'data.columns={codes:drop,words:drop}'"


def test_a_column_that_is_a_function_of_the_value_is_a_leak() -> None:
    value = RNG.normal(0, 1, COUNT)
    value[0] = 1e6  # ranks do not mind
    (found,) = leaks({**CLEAN, "cubed": value**3, "near": value + RNG.normal(0, 0.4, COUNT)}, {"y": value}, None)
    assert [place.partition(":")[0] for place in found.where] == ["cubed"]
    assert leaks({"a": A[:20]}, {"y": A[:20]}, None) == []  # so few rows tell nothing


def test_how_well_a_column_tells_is_what_counting_says() -> None:
    labels = np.array([0, 0, 1, 1] * 50)
    cells = ["p", "p", "q", "q"] * 50
    wrong = cells.copy()
    wrong[2] = wrong[7] = "p"  # one row of each half, both of class 1
    assert predictability(cells, labels) == 1.0
    assert predictability(wrong, labels) == pytest.approx((1 + 49 / 50) / 2)
    unique = [str(number) for number in range(200)]
    assert predictability(unique, labels) == 0.0  # an id tells nothing of a row that was not looked at
    assert predictability(unique, RNG.normal(0, 1, 200)) < 0.01
    assert predictability(np.zeros(200), labels) == 0.5
