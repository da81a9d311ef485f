"""Checks of splits: each finds what is planted, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused

from dlexp.data.checks.splits import classes, overlaps, sizes
from dlexp.errors import DataError
from dlexp.findings import counted, dropping, finding


def rows(*some: int) -> np.ndarray:
    return np.array(some, dtype=np.int64)


def test_a_sample_in_two_splits_is_an_error() -> None:
    assert overlaps({"train": rows(0, 1, 2), "val": rows(3, 4), "test": rows(5)}) == []
    (found,) = overlaps({"train": rows(0, 1, 2), "val": rows(3, 4), "test": rows(5, 2, 1)})
    assert (found.severity, found.count, found.where) == ("error", 2, ("row 1", "row 2"))
    assert all(text in found.what for text in ("2 samples", "train", "test"))


def test_an_empty_split_is_refused_and_a_small_one_a_note() -> None:
    assert sizes({"train": 10, "val": 50, "test": 5000}) == []
    with pytest.raises(DataError) as caught:
        sizes({"train": 10, "val": 0, "test": 20})
    refused(caught.value, "too-few-samples", "val", "data.val_fraction=0.2")
    (small,) = sizes({"train": 10, "val": 60, "test": 20})
    assert small.severity == "note"
    assert "5.0 " in small.what


def test_classes_that_lack_and_classes_that_are_rare() -> None:
    even = {"train": rows(20, 21), "val": rows(3, 2), "test": rows(4, 4)}
    assert classes(even, ("a", "b"), "x=1", {}) == []
    (lacking,) = classes({**even, "val": rows(3, 0)}, ("a", "b"), "x=1", {})
    assert (lacking.severity, lacking.where) == ("warning", ("b",))
    for settings, remedy in (
        ({"split_seed": 0}, "data.split_seed=1"),
        ({"split_seed": 0, "split_column": "fold"}, "data.split_column=fold divides"),
        ({"split_seed": 0, "val_path": "val.csv"}, "data.val_path=val.csv divides"),
        ({"split_seed": 0, "test_path": "test.csv"}, "data.split_seed=1"),
        ({}, "Add samples of it to val"),
    ):
        (lacking,) = classes({**even, "val": rows(3, 0)}, ("a", "b"), "x=1", settings)
        assert remedy in lacking.remedy
        assert ("split_seed" in lacking.remedy) == ("split_seed" in remedy)
    (error,) = classes({**even, "train": rows(0, 20)}, ("a", "b"), "x=1", {})
    assert (error.severity, error.where) == ("error", ("a",))
    for learned, severity in ((rows(10, 29), None), (rows(10, 30), "note"), (rows(10, 100), "warning")):
        found = classes({**even, "train": learned}, ("a", "b"), "x=1", {})
        assert [one.severity for one in found] == ([severity] if severity else [])
    assert found[0].where == ("a: 10", "b: 100")
    assert found[0].remedy == "x=1"
    assert "10.0 times" in found[0].what


def test_a_finding_names_ten_places_and_counts_all() -> None:
    found = finding("note", "k", "w", [str(number) for number in range(25)])
    assert found.where == tuple(map(str, range(10)))
    assert found.count == 25
    assert counted(1, "row is", "rows are") == "1 row is"
    assert counted(1200, "row") == "1,200 rows"


def test_the_setting_that_drops_keeps_what_is_dropped_and_quotes_odd_names() -> None:
    assert dropping(["a"], None) == ""
    assert dropping(["a", "b c"], {"id": "drop", "a": "number"}) == "'data.columns={id:drop,a:drop,\"b c\":drop}'"
