"""Splits by time, by name and by what is given, alone and together."""

from __future__ import annotations

import numpy as np
import pytest

from dlexp.data.splits.by_time import cut_by_time
from dlexp.data.splits.division import RowKeys, SplitBy, divide
from dlexp.data.splits.sample_keys import keys_of_samples
from dlexp.data.splitting import split_rows
from dlexp.errors import DataError
from dlexp.text.shown_time import shown_time

HOW = (0.2, 0.2, 0)
SHARES = (0.6, 0.2, 0.2)


def test_without_keys_the_split_is_that_of_rows() -> None:
    labels = np.arange(60) % 3
    found = divide(60, HOW, labels, ("a", "b", "c"), RowKeys())
    assert found.notes == ()
    assert all(np.array_equal(a, b) for a, b in zip(found.rows, split_rows(60, HOW, labels, "abc"), strict=True))


def test_train_is_the_earliest_and_test_the_latest() -> None:
    rng = np.random.default_rng(0)
    times = rng.permutation(200).astype(np.float64)
    train, val, test = divide(200, HOW, None, (), RowKeys(times=times)).rows
    assert times[train].max() < times[val].min() and times[val].max() < times[test].min()
    assert [len(train), len(val), len(test)] == [120, 40, 40]


@pytest.mark.parametrize("seed", range(20))
def test_rows_of_one_time_are_not_divided(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, rng.integers(3, 12), 50))[rng.permutation(50)].astype(np.float64)
    if len(np.unique(times)) < 3:
        return
    parts = cut_by_time(np.arange(50), times, SHARES)
    values = [set(times[part].tolist()) for part in parts]
    assert all(values) and max(values[0]) < min(values[1]) and max(values[1]) < min(values[2])
    assert sorted(np.concatenate(parts).tolist()) == list(range(50))


def test_a_cut_moves_to_the_nearest_change_and_leaves_one_for_each_split() -> None:
    times = np.repeat([1.0, 2.0, 3.0], [97, 2, 1])
    assert [len(part) for part in cut_by_time(np.arange(100), times, SHARES)] == [97, 2, 1]
    with pytest.raises(DataError) as caught:
        cut_by_time(np.arange(99), times[:99], SHARES)
    assert caught.value.code == "too-few-samples"


def test_the_dates_at_the_cuts_are_named() -> None:
    times = np.datetime64("2021-01-01") + np.arange(10)
    (note,) = divide(10, HOW, None, (), RowKeys(times=times)).notes
    assert "2021-01-01 to 2021-01-06" in note and "2021-01-07 to 2021-01-08" in note and "2021-01-10" in note
    assert shown_time(np.datetime64("2021-01-01T12:30:00.000000")) == "2021-01-01T12:30:00"
    assert (shown_time(3.0), shown_time(0.5)) == ("3", "0.5")


def test_what_the_data_gives_stays_and_what_it_lacks_is_held_out_of_train() -> None:
    parts = np.array(["train"] * 80 + ["test"] * 20)
    labels = np.arange(100) % 2
    groups = np.arange(100) // 4
    names = [str(number) for number in range(25)]
    for keys in (
        RowKeys(parts=parts),
        RowKeys(parts=parts, groups=groups, group_names=names),
        RowKeys(parts=parts, times=np.arange(100.0)),
    ):
        train, val, test = divide(100, HOW, labels, ("a", "b"), keys).rows
        assert test.tolist() == list(range(80, 100))
        assert sorted([*train.tolist(), *val.tolist()]) == list(range(80))
        assert len(val) == pytest.approx(16, abs=4)
        if keys.groups is not None:
            assert not set(groups[train].tolist()) & set(groups[val].tolist())
        if keys.times is not None:
            assert train.max() < val.min()


def test_a_group_in_two_given_splits_is_refused_by_name() -> None:
    parts = np.array(["train"] * 6 + ["val", "test"])
    with pytest.raises(DataError, match="'p'") as caught:
        divide(8, HOW, None, (), RowKeys(np.array([0, 0, 1, 1, 1, 1, 0, 2]), ("p", "q", "r"), None, parts))
    assert "val" in str(caught.value)


def test_classes_that_train_lacks_are_refused_all_at_once() -> None:
    parts = np.array(["train", "train", "val", "val", "test"])
    with pytest.raises(DataError, match=r"'c', 'd'"):
        divide(5, HOW, np.array([0, 1, 2, 0, 3]), ("a", "b", "c", "d"), RowKeys(parts=parts))
    with pytest.raises(DataError) as caught:
        divide(2, HOW, None, (), RowKeys(parts=np.array(["val", "test"])))
    assert caught.value.code == "too-few-samples"


SPELLINGS = {
    "train": ("train", "Training", "TRN", " train "),
    "val": ("val", "valid", "Validation", "dev", "eval", "development"),
    "test": ("test", "TESTING", "tst"),
}


@pytest.mark.parametrize(("part", "word"), [(part, word) for part, words in SPELLINGS.items() for word in words])
def test_all_usual_names_of_splits_are_read(part: str, word: str) -> None:
    given = np.array(["train", "train", "val", "test", word])
    found = keys_of_samples(SplitBy(split_column="fold"), {"split_column": given}, None)
    assert found.parts is not None and found.parts[4] == part


@pytest.mark.parametrize(
    ("key", "values", "code"),
    [
        ("split_column", np.array(["train", "holdout"]), "unknown-value"),
        ("split_column", np.array([0, 1]), "unknown-value"),
        ("time", np.array(["a", "b"]), "invalid-type"),
        ("time", np.array([1.0, np.nan]), "invalid-data"),
        ("group", np.array(["p", None], dtype=object), "invalid-data"),
        ("group", np.zeros((2, 2)), "invalid-type"),
    ],
)
def test_values_that_cannot_divide_are_refused(key: str, values: np.ndarray, code: str) -> None:
    by = SplitBy(**{key: "name"})
    with pytest.raises(DataError) as caught:
        keys_of_samples(by, {key: values}, None)
    assert (caught.value.code, caught.value.column) == (code, "name")


def test_samples_that_are_divided_already_are_not_divided_again() -> None:
    parts = np.array(["train", "test"])
    with pytest.raises(DataError) as caught:
        keys_of_samples(SplitBy(split_column="fold"), {"split_column": parts}, parts)
    assert caught.value.code == "cannot-combine"
