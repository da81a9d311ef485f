from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dlexp.data.splitting import split_rows

SHARES = [(0.1, 0.2), (0.2, 0.2), (0.4, 0.5), (0.01, 0.01), (0.05, 0.9)]


def labels_of(counts: list[int]) -> np.ndarray:
    return np.random.default_rng(3).permutation(np.repeat(np.arange(len(counts)), counts))


@pytest.mark.parametrize(("val", "test"), SHARES)
@pytest.mark.parametrize("counts", [[3, 3], [3, 4, 5, 6], [50, 50, 50], [200, 3, 17]])
def test_classes_are_split_disjoint_complete_and_all_present(counts: list[int], val: float, test: float) -> None:
    labels = labels_of(counts)
    parts = split_rows(len(labels), (val, test, 0), labels, [str(n) for n in range(len(counts))])
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for part in parts:
        assert set(labels[part]) == set(range(len(counts)))
        assert list(part) == sorted(part)
        assert part.dtype == np.int64


@pytest.mark.parametrize(("val", "test"), SHARES)
@pytest.mark.parametrize("count", [3, 4, 10, 442])
def test_values_are_split_disjoint_complete_and_not_empty(count: int, val: float, test: float) -> None:
    parts = split_rows(count, (val, test, 0))
    assert sorted(np.concatenate(parts)) == list(range(count))
    assert min(len(part) for part in parts) >= 1


def test_shares_are_kept_in_each_class() -> None:
    labels = labels_of([100, 200])
    train, val, test = split_rows(len(labels), (0.1, 0.2, 0), labels, ["a", "b"])
    assert Counter(labels[train]) == {0: 70, 1: 140}
    assert Counter(labels[val]) == {0: 10, 1: 20}
    assert Counter(labels[test]) == {0: 20, 1: 40}


def test_seed_decides_the_split() -> None:
    labels = labels_of([30, 30])
    first, again, other = (split_rows(len(labels), (0.2, 0.2, seed), labels, ["a", "b"]) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[2], other[2])
