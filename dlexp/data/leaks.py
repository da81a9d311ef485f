"""A column that alone tells the target: mostly the target under another name, or known only after it.

Symbols: N rows, K classes, O target values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dlexp.data.finding import Dropped, Finding, counted, dropping, finding
from dlexp.data.readable import Cells

_BINS = 32  # parts of equally many rows that a column of numbers is cut into
_DISTINCT = 64  # values that are parts of their own
_FEWEST = 30  # rows, below which one column may tell the target by chance
_TELLS = 0.99


def leaks(columns: Mapping[str, Cells], targets: Mapping[str, NDArray[np.generic]], dropped: Dropped) -> list[Finding]:
    """Columns from which alone a target of the training rows is told almost perfectly.

    targets   name -> (N,) int64 class numbers, or float64 values
    dropped   what data.drop names already, None where the source has no such key
    """
    where, names = [], []
    for name, cells in columns.items():
        if len(cells) < _FEWEST:
            continue
        for target, values in targets.items():
            score = told_by(cells, values)
            if score >= _TELLS:
                measure = "of the classes" if values.dtype.kind == "i" else "of the variance of ranks"
                where.append(f"{name}: {score:.1%} {measure} of {target}")
                names.append(name)
    if not where:
        return []
    names = list(dict.fromkeys(names))
    what = f"{counted(len(names), 'column tells', 'columns tell')} the target alone: is it known before the target is?"
    return [finding("warning", "leak", what, where, dropping(names, dropped))]


def told_by(cells: Cells, target: NDArray[np.generic]) -> float:
    """How well `cells` alone tell a target on rows that were not looked at: 1 is all of it, about 0 or 1 / K nothing.

    The column is cut into parts of equally many rows. Of each part the class that is most frequent, or the mean rank,
    in the even rows is what the odd rows are told, and the other way round: balanced accuracy, or R2 of the ranks.
    Ranks and parts make it blind to outliers, to units and to the form of the relation.
    """
    parts = _parts(cells)
    halves = (slice(None, None, 2), slice(1, None, 2))
    if target.dtype.kind == "i":
        scores = [_balanced(parts, target, *fold) for fold in (halves, halves[::-1])]
    else:
        _, numbers, counts = np.unique(target, return_inverse=True, return_counts=True)
        ranks = (counts.cumsum() - counts / 2)[numbers]
        scores = [_explained(parts, ranks, *fold) for fold in (halves, halves[::-1])]
    return float(np.mean(scores))


def _parts(cells: Cells) -> NDArray[np.int64]:
    """(N,) numbers of the parts."""
    values: NDArray[np.generic] = np.array(cells)
    distinct, numbers = np.unique(values, return_inverse=True)
    if isinstance(cells, list) or len(distinct) <= _DISTINCT:
        return np.asarray(numbers, dtype=np.int64)
    edges = np.quantile(cells, np.linspace(0, 1, _BINS + 1)[1:-1])
    found: NDArray[np.int64] = np.searchsorted(edges, cells).astype(np.int64)
    return found


def _balanced(parts: NDArray[np.int64], target: NDArray[np.generic], learnt: slice, judged: slice) -> float:
    """Mean over the classes of the share that is told right."""
    classes, numbers = np.unique(target, return_inverse=True)
    counts = np.zeros((parts.max() + 1, len(classes)), dtype=np.int64)
    np.add.at(counts, (parts[learnt], numbers[learnt]), 1)
    right = (counts.argmax(axis=1)[parts[judged]] == numbers[judged]) & (counts.max(axis=1)[parts[judged]] > 0)
    shares = [right[numbers[judged] == number].mean() for number in np.unique(numbers[judged])]
    return float(np.mean(shares))


def _explained(parts: NDArray[np.int64], ranks: NDArray[np.float64], learnt: slice, judged: slice) -> float:
    """1 - squared error / squared deviation from the mean."""
    sums = np.bincount(parts[learnt], ranks[learnt], minlength=parts.max() + 1)
    counts = np.bincount(parts[learnt], minlength=parts.max() + 1)
    middle = ranks[learnt].mean()
    told = np.where(counts > 0, sums / np.maximum(counts, 1), middle)[parts[judged]]
    spread = ((ranks[judged] - ranks[judged].mean()) ** 2).sum()
    return float(1 - ((ranks[judged] - told) ** 2).sum() / spread) if spread else 0.0
