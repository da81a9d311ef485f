"""Whole groups of rows dealt to splits, so that no group is in two of them.

Groups are dealt one after another, the larger ones rather first, to the split that then has the least squared distance
from its share of each class, relative to that share; the criterion is that of stratified group folds (scikit-learn's
StratifiedGroupKFold), for shares of any size.

Symbols: N rows, G groups, C classes (1 for rows without classes), P splits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_TRIES = 5  # orders of the groups, of which the best is used
_FEW = 5_000  # groups up to which there are several tries
_SINGLY = 20_000  # groups that are dealt one by one, the largest; the others only have to fill up the shares


def deal_groups(
    groups: NDArray[np.int64], labels: NDArray[np.int64] | None, shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """The number of the split of each row, (N,) int64 in [0, P).

    Each split gets a group if there are P of them, and each class reaches every split where its groups allow it; the
    first split has every class.

    Args:
        groups: (N,) group numbers, of which each from 0 to G - 1 occurs.
        labels: (N,) class numbers, None for rows without classes.
        shares: Share of the rows in each of the P splits, the sum of which is 1.
        seed: Seed of the order of the groups.
    """
    sizes = np.bincount(groups)
    first_rows = np.unique(groups, return_index=True)[1]
    labels = np.zeros(len(groups), dtype=np.int64) if labels is None else labels
    rng = np.random.default_rng(seed)
    wanted = np.outer(shares, np.bincount(labels)).astype(np.float64)  # (P, C) rows
    best: tuple[float, NDArray[np.int64]] | None = None
    for _ in range(_TRIES if len(sizes) <= _FEW else 1):
        # Sampling without replacement in proportion to the sizes: large groups come early, in a random order.
        order = np.argsort(-(np.log(sizes) + rng.gumbel(size=len(sizes))), kind="stable")
        split_of = _dealt(order, groups, labels, wanted, first_rows)
        cost = _cost(_counts(split_of[groups], labels, wanted.shape), wanted)
        if best is None or cost < best[0] - 1e-9:
            best = cost, split_of
    assert best is not None
    return best[1][groups]


def _dealt(
    order: NDArray[np.int64],
    groups: NDArray[np.int64],
    labels: NDArray[np.int64],
    wanted: NDArray[np.float64],
    first_rows: NDArray[np.int64],
) -> NDArray[np.int64]:
    """(G,) the split of each group."""
    num_groups, num_classes = len(order), wanted.shape[1]
    single, rest = order[:_SINGLY], order[_SINGLY:]
    place = np.full(num_groups, -1, dtype=np.int64)
    place[single] = np.arange(len(single))
    counts = _table(place[groups], labels, (len(single), num_classes))
    split_of = np.full(num_groups, -1, dtype=np.int64)
    have, scale = np.zeros_like(wanted), np.maximum(wanted, 1e-9)
    for group, own in zip(single, counts, strict=True):
        change = ((2 * (have - wanted) + own) * own / scale).sum(axis=1)
        split_of[group] = target = int(np.argmin(change))
        have[target] += own
    if len(rest):
        _fill_up(split_of, rest, groups, labels, wanted - have, first_rows)
    else:
        _repair(split_of[single], counts, wanted, out=(split_of, single))
    return split_of


def _fill_up(
    split_of: NDArray[np.int64],
    rest: NDArray[np.int64],
    groups: NDArray[np.int64],
    labels: NDArray[np.int64],
    lacking: NDArray[np.float64],
    first_rows: NDArray[np.int64],
) -> None:
    """Deal small groups in runs of a random order, those of each class where its rows are lacking."""
    sizes = np.bincount(groups)
    own = labels[first_rows[rest]]
    for label in np.unique(own):
        some = rest[own == label]
        need = np.maximum(lacking[:, label], 0)
        total = need.sum()
        ends = np.cumsum(need / total if total > 0 else np.full(len(need), 1 / len(need)))
        middle = (np.cumsum(sizes[some]) - sizes[some] / 2) / sizes[some].sum()
        split_of[some] = np.minimum(np.searchsorted(ends, middle), len(need) - 1)


def _repair(
    dealt: NDArray[np.int64],
    counts: NDArray[np.int64],
    wanted: NDArray[np.float64],
    out: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Move groups so that each class, where its groups allow it, reaches the first split, then the others."""
    dealt, (split_of, names) = dealt.copy(), out
    has = counts > 0
    number = wanted.shape[0]
    for split in range(number):
        for label in np.argsort(has.sum(axis=0), kind="stable"):  # the classes of the fewest groups first
            if (has[dealt == split, label]).any():
                continue
            _move_one(dealt, split, int(label), counts, wanted)
        if not (dealt == split).any():
            _move_one(dealt, split, -1, counts, wanted)
    split_of[names] = dealt


def _move_one(
    dealt: NDArray[np.int64], split: int, label: int, counts: NDArray[np.int64], wanted: NDArray[np.float64]
) -> None:
    """Move the group of a class (-1: any) that costs least to `split`, from one that keeps all of its classes."""
    has = counts > 0
    # (P, C) the groups of each class in each split
    left = np.stack([has[dealt == other].sum(axis=0) for other in range(wanted.shape[0])])
    groups_left = np.bincount(dealt, minlength=wanted.shape[0])
    candidates = np.flatnonzero(((label < 0) | has[:, label]) & (dealt != split) & (groups_left[dealt] > 1))
    # A group may leave if no class goes with it, but every class must be in the first split, whatever it takes.
    keeps = ~((left[dealt[candidates]] == 1) & has[candidates]).any(axis=1)
    if label < 0:  # a split without a group is worse than one without a class
        keeps |= dealt[candidates] != 0
    if split == 0 and label >= 0 and not keeps.any():
        keeps = np.ones(len(candidates), dtype=np.bool_)
    candidates = candidates[keeps]
    if not len(candidates):
        return
    have = np.stack([counts[dealt == other].sum(axis=0) for other in range(wanted.shape[0])])
    costs = []
    for group in candidates.tolist():
        moved = have.copy()
        moved[dealt[group]] -= counts[group]
        moved[split] += counts[group]
        costs.append(_cost(moved, wanted))
    dealt[candidates[int(np.argmin(costs))]] = split


def _cost(have: NDArray[np.int64], wanted: NDArray[np.float64]) -> float:
    """Squared distance from the wanted rows of each class, relative to these, plus that of all rows together."""
    by_class = (have - wanted) ** 2 / np.maximum(wanted, 1e-9)
    total, aim = have.sum(axis=1), wanted.sum(axis=1)
    return float(by_class.sum() + ((total - aim) ** 2 / np.maximum(aim, 1e-9)).sum())


def _counts(split_of: NDArray[np.int64], labels: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    return _table(split_of, labels, (shape[0], shape[1]))


def _table(rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.int64]:
    """(rows, columns) how often each pair occurs; pairs of row -1 are left out."""
    there = rows >= 0
    flat = rows[there] * shape[1] + columns[there]
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64)
