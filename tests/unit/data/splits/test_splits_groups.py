"""No group is in two splits, whatever their sizes, and each class reaches every split where its groups allow it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlexp.data.splits import groups as dealt_groups
from dlexp.data.splits.division import RowKeys, divide
from dlexp.data.splits.groups import deal_groups
from dlexp.errors import DataError

HOW = (0.2, 0.2, 0)


def numbered(sizes: list[int], seed: int) -> NDArray[np.int64]:
    """(N,) groups of these sizes, their rows in a random order."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=3, max_size=60),
    classes=st.integers(1, 4),
    seed=st.integers(0, 10),
    are_pure=st.booleans(),
)
def test_no_group_is_in_two_splits(sizes: list[int], classes: int, seed: int, are_pure: bool) -> None:
    groups = numbered(sizes, seed)
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, len(sizes))[groups] if are_pure else rng.integers(0, classes, len(groups))
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    names = [str(number) for number in range(int(labels.max()) + 1)]
    keys = RowKeys(groups, [str(number) for number in range(len(sizes))])
    try:
        found = divide(len(groups), (0.2, 0.2, seed), labels, names, keys)
    except DataError:  # train needs a group of each class, and val and test need one each
        assert len(sizes) < len(names) + 2
        return
    parts = [set(groups[rows].tolist()) for rows in found.rows]
    assert all(parts) and not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert sorted(np.concatenate(found.rows).tolist()) == list(range(len(groups)))
    assert set(labels[found.rows[0]].tolist()) == set(labels.tolist())  # train knows every class
    again = divide(len(groups), (0.2, 0.2, seed), labels, names, keys)
    assert all(np.array_equal(one, other) for one, other in zip(found.rows, again.rows, strict=True))


def test_the_shares_and_the_classes_come_near_to_those_asked_for() -> None:
    rng = np.random.default_rng(3)
    groups = numbered(rng.integers(1, 20, 300).tolist(), 3)
    labels = (rng.random(300) < 0.15).astype(np.int64)[groups]
    for seed in range(5):
        part = deal_groups(groups, labels, (0.6, 0.2, 0.2), seed)
        shares = np.bincount(part) / len(part)
        assert np.abs(shares - (0.6, 0.2, 0.2)).max() < 0.02
        rare = np.bincount(part[labels == 1]) / (labels == 1).sum()
        assert np.abs(rare - (0.6, 0.2, 0.2)).max() < 0.04


def test_the_seed_draws_another_split() -> None:
    groups = numbered([2**number for number in range(9)], 0)
    found = {tuple(deal_groups(groups, None, (0.6, 0.2, 0.2), seed).tolist()) for seed in range(8)}
    assert len(found) > 1


def test_a_class_of_three_groups_is_in_all_splits_and_one_of_one_group_in_train() -> None:
    groups = np.repeat(np.arange(40), 5)
    labels = np.zeros(200, dtype=np.int64)
    labels[groups < 3] = 1
    labels[groups == 3] = 2
    for seed in range(10):
        part = deal_groups(groups, labels, (0.6, 0.2, 0.2), seed)
        assert set(part[labels == 1].tolist()) == {0, 1, 2}
        assert set(part[labels == 2].tolist()) == {0}
    found = divide(200, HOW, labels, ("a", "b", "c"), RowKeys(groups, [str(n) for n in range(40)]))
    assert len([note for note in found.notes if "'c'" in note]) == 2  # val and test cannot judge it


def test_more_groups_than_are_dealt_singly_reach_their_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealt_groups, "_SINGLY", 50)
    groups = numbered(np.random.default_rng(0).integers(1, 6, 2000).tolist(), 1)
    labels = (groups % 3 == 0).astype(np.int64)
    part = deal_groups(groups, labels, (0.7, 0.1, 0.2), 0)
    for some in (labels == 0, labels == 1):
        assert np.abs(np.bincount(part[some]) / some.sum() - (0.7, 0.1, 0.2)).max() < 0.02
    assert all(len(set(part[groups == group].tolist())) == 1 for group in range(0, 2000, 37))


def test_fewer_groups_than_splits_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        divide(6, HOW, None, (), RowKeys(np.array([0, 0, 0, 1, 1, 1]), ("a", "b")))
    assert caught.value.code == "too-few-samples"
