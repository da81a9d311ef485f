"""A column that alone tells the target: mostly the target under another name, or known only after it.

Symbols: N rows, K classes, O target values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.original_units import Cells
from dlexp.findings import Dropped, Finding, counted, dropping, finding

_FEWEST = 30  # rows, below which one column may tell the target by chance
_MOST = 50_000  # rows that tell as much as all
_TELLS = 0.99


def leaks(columns: Mapping[str, Cells], targets: Mapping[str, NDArray[np.generic]], dropped: Dropped) -> list[Finding]:
    """Columns from which alone a target of the training rows, of 50,000 at most, is told almost perfectly.

    targets   name -> (N,) int64 class numbers, or float64 values
    dropped   what data.drop names already, None where the source has no such key
    """
    where, names = [], []
    for name, cells in columns.items():
        if len(cells) < _FEWEST:
            continue
        step = -(-len(cells) // _MOST)
        for target, values in targets.items():
            score = told_by(cells[::step], values[::step])
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
    """How well `cells` alone tell a target: 1 is all of it; 1 / K, or 0 and less, nothing.

    The odd rows are told what the even rows with the nearest value have, the class that is most frequent there or the
    mean rank, and the other way round: balanced accuracy, or R2 of the ranks. Neighbours and ranks make it blind to
    outliers, to units and to the form of the relation; rows that were not looked at make it blind to chance.
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


def _nearest(learnt: NDArray[np.generic], judged: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(which of the different values each learnt row has, which of them is nearest to each judged row, -1 for none)."""
    known, numbers = np.unique(learnt, return_inverse=True)
    place = np.searchsorted(known, judged).clip(0, len(known) - 1)
    if known.dtype.kind == "U":
        return numbers, np.where(known[place] == judged, place, -1)
    before = (place - 1).clip(0)
    is_nearer = np.abs(known[before] - judged) < np.abs(known[place] - judged)
    return numbers, np.where(is_nearer, before, place)


def _balanced(
    had: NDArray[np.int64], has: NDArray[np.int64], learnt: NDArray[np.int64], judged: NDArray[np.int64]
) -> float:
    """Mean over the classes of the share that is told right."""
    classes = learnt.max() + 1
    pairs, counts = np.unique(had * classes + learnt, return_counts=True)
    order = counts.argsort(kind="stable")  # of an index that is there more than once the last assignment holds
    most = np.empty(had.max() + 1, dtype=np.int64)
    most[pairs[order] // classes] = pairs[order] % classes
    right = (most[has] == judged) & (has >= 0)
    return float(np.mean([right[judged == number].mean() for number in np.unique(judged)]))


def _explained(
    had: NDArray[np.int64], has: NDArray[np.int64], learnt: NDArray[np.float64], judged: NDArray[np.float64]
) -> float:
    """1 - squared error / squared deviation from the mean."""
    means = np.bincount(had, learnt) / np.bincount(had)
    told = np.where(has >= 0, means[has], learnt.mean())
    spread = ((judged - judged.mean()) ** 2).sum()
    return float(1 - ((judged - told) ** 2).sum() / spread) if spread else 0.0
