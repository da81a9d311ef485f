"""Checks for target leakage: columns that alone predict the target almost perfectly.

Symbols: N rows, K classes, O target values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.original_units import ColumnValues
from dlexp.findings import Declared, Finding, counted, dropped

_FEWEST = 30  # rows below which a column may predict the target by chance
_MOST = 50_000  # rows that are checked
_LEAKS = 0.99  # score from which a column is reported


def leaks(
    columns: Mapping[str, ColumnValues], targets: Mapping[str, NDArray[np.generic]], declared: Declared
) -> list[Finding]:
    """Findings for columns that alone predict a target of at most 50,000 training rows almost perfectly.

    targets   name -> (N,) int64 class numbers, or float64 values
    declared  the current data.columns, None if the source has no such key
    """
    where, names = [], []
    for name, cells in columns.items():
        if len(cells) < _FEWEST:
            continue
        step = -(-len(cells) // _MOST)
        for target, values in targets.items():
            score = predictability(cells[::step], values[::step])
            if score >= _LEAKS:
                measure = "of the classes" if values.dtype.kind == "i" else "of the variance of ranks"
                where.append(f"{name}: {100 * score:.1f} % {measure} of {target}")
                names.append(name)
    if not where:
        return []
    names = list(dict.fromkeys(names))
    what = counted(len(names), "column predicts", "columns predict")
    what += " the target alone and may not be known at prediction"
    return [dropped("warning", "leak", what, where, names, declared)]


def predictability(cells: ColumnValues, target: NDArray[np.generic]) -> float:
    """The score with which `cells` alone predict a target: 1 is perfect; 1 / K, or 0 and less, is chance.

    Odd rows are predicted from the even rows with the nearest value, by most frequent class or mean rank, and vice
    versa; the score is balanced accuracy, or R2 of the ranks. Nearest neighbors and ranks make it robust to outliers,
    units and the form of the relation; the held-out half makes it robust to chance.
    """
    values: NDArray[np.generic] = np.array(cells)
    halves = (slice(None, None, 2), slice(1, None, 2))
    _, numbers, counts = np.unique(target, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - counts / 2)[numbers]
    scores = []
    for old, new in (halves, halves[::-1]):
        had, has = _nearest(values[old], values[new])
        if target.dtype.kind == "i":
            scores.append(_balanced(had, has, numbers[old], numbers[new]))
        else:
            scores.append(_explained(had, has, ranks[old], ranks[new]))
    return float(np.mean(scores))


def _nearest(train: NDArray[np.generic], test: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(the number of the distinct value of each train row, that of the nearest to each test row, -1 for none)."""
    known, numbers = np.unique(train, return_inverse=True)
    place = np.searchsorted(known, test).clip(0, len(known) - 1)
    if known.dtype.kind == "U":
        return numbers, np.where(known[place] == test, place, -1)
    before = (place - 1).clip(0)
    is_nearer = np.abs(known[before] - test) < np.abs(known[place] - test)
    return numbers, np.where(is_nearer, before, place)


def _balanced(
    had: NDArray[np.int64], has: NDArray[np.int64], train: NDArray[np.int64], test: NDArray[np.int64]
) -> float:
    """Balanced accuracy: the mean over the classes of their accuracy."""
    classes = train.max() + 1
    pairs, counts = np.unique(had * classes + train, return_counts=True)
    order = counts.argsort(kind="stable")  # the last assignment to a repeated index is kept
    most = np.empty(had.max() + 1, dtype=np.int64)
    most[pairs[order] // classes] = pairs[order] % classes
    right = (most[has] == test) & (has >= 0)
    return float(np.mean([right[test == number].mean() for number in np.unique(test)]))


def _explained(
    had: NDArray[np.int64], has: NDArray[np.int64], train: NDArray[np.float64], test: NDArray[np.float64]
) -> float:
    """1 - squared error / squared deviation from the mean."""
    means = np.bincount(had, train) / np.bincount(had)
    predicted = np.where(has >= 0, means[has], train.mean())
    spread = ((test - test.mean()) ** 2).sum()
    return float(1 - ((test - predicted) ** 2).sum() / spread) if spread else 0.0
