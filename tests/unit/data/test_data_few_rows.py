"""Too few rows for the splits: which class has how many, the rule, and what to do."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused

from dlexp.data.splitting import held_out, rows_of_parts, some_of_each, split_rows
from dlexp.errors import DataError

HOW = (0.2, 0.2, 0)
LABELS = np.array([0] * 10 + [1] * 2 + [2])


def test_every_small_class_is_named_with_its_rows_smallest_first() -> None:
    with pytest.raises(DataError) as caught:
        split_rows(13, HOW, LABELS, ("big", "small", "tiny"))
    refused(caught.value, "too-few-samples", "'tiny' has 1 row, 'small' has 2 rows", "Add rows of these classes")
    assert "'big'" not in str(caught.value)
    assert "train, val and test" in str(caught.value)


def test_one_small_class_is_told_how_many_rows_it_lacks() -> None:
    with pytest.raises(DataError) as caught:
        split_rows(12, HOW, LABELS[:12], ("big", "small"))
    refused(caught.value, "too-few-samples", "'small' has 2 rows", "Add 1 row of this class")


def test_of_many_small_classes_ten_are_named() -> None:
    with pytest.raises(DataError) as caught:
        split_rows(40, HOW, np.arange(40) // 2, tuple(f"c{n}" for n in range(20)))
    refused(caught.value, "too-few-samples", "10 more classes")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_class_needs_three_rows(count: int) -> None:
    labels = np.array([0] * 10 + [1] * count)
    with pytest.raises(DataError) as caught:
        split_rows(len(labels), HOW, labels, ("common", "rare"))
    refused(caught.value, "too-few-samples", "'rare' has ", f"Add {3 - count} row")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_values_need_three_rows(count: int) -> None:
    with pytest.raises(DataError) as caught:
        split_rows(count, HOW)
    refused(caught.value, "too-few-samples", "", "at least 3")


def test_other_splits_say_it_in_the_same_way() -> None:
    rows = np.arange(13)
    with pytest.raises(DataError) as caught:
        held_out(rows, LABELS, ("big", "small", "tiny"), 0.2, 0)
    refused(caught.value, "too-few-samples", "'tiny' has 1 row", "Add 1 row")
    with pytest.raises(DataError) as caught:
        held_out(rows[:1], None, (), 0.2, 0)
    refused(caught.value, "too-few-samples", "", "Add rows")
    with pytest.raises(DataError) as caught:
        rows_of_parts({"train": 10, "test": 3}, HOW, LABELS, ("big", "small", "tiny"))
    refused(caught.value, "too-few-samples", "'small'", "to train")
    with pytest.raises(DataError) as caught:
        some_of_each(rows, LABELS, ("big", "small", "tiny"), 2, 0)
    refused(caught.value, "too-few-samples", "'tiny'", "data.train_per_class=1")
