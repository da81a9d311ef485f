"""A DataFrame is read as the CSV file of it is, with the types that it has."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dlexp.data.memory.dataframe import dataframe, target_kind
from dlexp.data.memory.frame_columns import frame_column_names, frame_columns
from dlexp.data.memory.handed_over import hand_over
from dlexp.data.sources.table_file import table_file
from dlexp.data.tables.spelling import MISSING, Marks
from dlexp.errors import ConfigError, DataError

MISSING_VALUES = list(MISSING)


def cells(values: Any) -> list[Any]:
    frame = pd.DataFrame({"a": values})
    found = frame_columns(frame, ["a"], Marks(MISSING_VALUES))["a"].cells().tolist()
    return [None if isinstance(cell, float) and np.isnan(cell) else cell for cell in found]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3], [1.0, 2.0, 3.0]),
        (np.array([1, 2], dtype=np.uint8), [1.0, 2.0]),
        ([1.5, None], [1.5, None]),
        (pd.array([1, None, 3], dtype="Int64"), [1.0, None, 3.0]),
        (pd.array([1.5, None], dtype="Float32"), [1.5, None]),
        (pd.array([True, None], dtype="boolean"), ["True", None]),
        ([True, False], ["True", "False"]),
        (["a", None, " b ", "NA"], ["a", None, "b", None]),
        (pd.Series(["a", None], dtype="string"), ["a", None]),
        (pd.Series(["x", None, "y"], dtype="category"), ["x", None, "y"]),
        (pd.Series([3, 1], dtype="category"), [3.0, 1.0]),
        (pd.to_datetime(["2024-01-01", ""]), ["2024-01-01", None]),
        (pd.to_timedelta(["1 min", None]), [60.0, None]),
        ([Decimal("1.5"), Decimal(2)], [1.5, 2.0]),
        ([date(2024, 1, 1), None], ["2024-01-01", None]),
        (pd.arrays.SparseArray([0, 0, 2]), [0.0, 0.0, 2.0]),
        (pd.array([1, None], dtype="int64[pyarrow]"), [1.0, None]),
        (pd.array(["a", None], dtype="string[pyarrow]"), ["a", None]),
    ],
)
def test_every_type_has_the_cells_of_a_file(values: Any, expected: list[Any]) -> None:
    assert cells(values) == expected


@pytest.mark.parametrize("values", [[[1], [2]], [{"a": 1}, {}], [1j, 2j], [object(), object()]])
def test_a_column_of_other_objects_is_refused_with_a_remedy(values: Any) -> None:
    with pytest.raises(DataError, match=r"data, column 'a'.*data\.columns=\{a:drop\}") as caught:
        cells(values)
    assert caught.value.code == "invalid-type"


def test_names_are_texts_without_levels_and_without_repeats() -> None:
    assert frame_column_names(pd.DataFrame({1: [1], "b ": [2]})) == ["1", "b"]
    with pytest.raises(DataError, match="duplicate"):
        frame_column_names(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match="levels"):
        frame_column_names(pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])))


def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"age": rng.integers(18, 80, 60), "town": ["Bonn", "Trier", None] * 20, "ok": [True, False] * 30}
    )
    frame["income"] = rng.normal(30e3, 9e3, 60)
    return frame


@pytest.mark.parametrize("target", ["income", "town_known"])
def test_a_frame_and_its_csv_file_give_the_same_bundle(target: str, tmp_path: Path) -> None:
    frame = people()
    frame["town_known"] = np.where(frame["town"].isna(), "no", "yes")
    frame.to_csv(tmp_path / "people.csv", index=False)
    with hand_over(frame):
        own = dataframe(target=target, missing_values=MISSING_VALUES)
    read = table_file(path=str(tmp_path / "people.csv"), target=target, missing_values=MISSING_VALUES)
    assert (own.fingerprint, own.split_hash, own.spec) == (read.fingerprint, read.split_hash, read.spec)


def test_a_category_of_numbers_stays_one() -> None:
    frame = people().assign(grade=pd.Series([1, 2, 3] * 20, dtype="category"))
    with hand_over(frame):
        bundle = dataframe(target="income", missing_values=MISSING_VALUES)
        assert target_kind({"target": "grade", "target_kind": "auto", "missing_values": []}) == "class"
    kinds = {column["name"]: column["kind"] for column in bundle.preprocessing["columns"]}
    assert kinds["grade"] == "category"


def test_an_index_with_a_name_is_told() -> None:
    with hand_over(people().rename_axis("patient")):
        bundle = dataframe(target="income", missing_values=MISSING_VALUES)
    assert any("reset_index" in note for note in bundle.notes)


def test_rows_are_counted_as_iloc_counts_them() -> None:
    frame = people()
    frame.loc[7, "income"] = np.inf
    with hand_over(frame), pytest.raises(DataError, match="data, row 7, column 'income'"):
        dataframe(target="income", missing_values=MISSING_VALUES)


def test_without_a_frame_it_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="Hand it over again") as caught:
        dataframe(target="income")
    assert caught.value.code == "missing-value"
    with hand_over({"x": np.zeros(3)}), pytest.raises(ConfigError, match="DataFrame"):
        dataframe(target="income")


def test_infinities_are_refused_and_can_be_read_as_missing() -> None:
    values = np.random.default_rng(0).normal(size=60)
    values[3] = -np.inf
    frame = pd.DataFrame({"a": values, "b": values[::-1] + 1, "y": ["s", "t"] * 30}).replace({"b": {-np.inf: 0.5}})
    with hand_over(frame), pytest.raises(DataError) as caught:
        dataframe(target="y", missing_values=MISSING_VALUES)
    assert "must be a finite number, got -inf" in caught.value.rule
    assert 'data.missing_values=[default,"-inf"]' in (caught.value.remedy or "")
    with hand_over(frame):
        bundle = dataframe(target="y", missing_values=["default", "-inf"])
    assert [fit["name"] for fit in bundle.preprocessing["columns"]] == ["a", "b"]
