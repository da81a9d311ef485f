"""Values of a column that look like groups, whose rows share their target and are in several splits.

Symbols: N rows, G values of a column, K classes, O target values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FEWEST = 20  # values from which a column may name groups; fewer are categories
_REPEATED = 1.5  # rows of a value, on average
_ALIKE = 0.8  # agreement of targets from which a column of any name is reported
_ALIKE_BY_NAME = 0.2  # the same for a name of something that has several rows
_NAME = re.compile(
    r"(?:.*[_\- .])?(?:id|uuid|guid|patient|subject|person|participant|user|customer|client|account|session|device"
    r"|group|site|hospital|animal|speaker|family|household|student|author|well|batch)"
    r"(?:[_\- .]?(?:id|no|nr|number|name|code))?s?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class DividedGroups:
    """A column whose values look like groups.

    values     G
    rows       N
    agreement  agreement of the targets of two rows of one value beyond chance, 1 for equal targets, 0 for chance
    divided    how many of the values are in several splits
    """

    values: int
    rows: int
    agreement: float
    divided: int


def divided_groups(
    name: str, codes: NDArray[np.int64], targets: NDArray[Any], rows: Sequence[NDArray[np.int64]]
) -> DividedGroups | None:
    """What a column divides; None for one that does not look like groups.

    Args:
        name: Its name.
        codes: (N,) a number for each value from 0 on, -1 for a missing cell.
        targets: (N,) class numbers or (N, O) values.
        rows: Row numbers of each split.
    """
    present = codes >= 0
    sizes = np.bincount(codes[present])
    count = int((sizes > 0).sum())
    if count < _FEWEST or present.sum() < _REPEATED * count:
        return None
    agreement = _agreement(codes[present], targets[present])
    if agreement < (_ALIKE_BY_NAME if _NAME.fullmatch(name) else _ALIKE):
        return None
    splits = np.zeros(len(sizes), dtype=np.int64)
    for some in rows:
        own = codes[some]
        splits[np.unique(own[own >= 0])] += 1
    divided = int((splits > 1).sum())
    return DividedGroups(count, int(present.sum()), agreement, divided) if divided else None


def may_name_groups(name: str) -> bool:
    """Return whether a name is that of something that has several rows, such as patient_id."""
    return _NAME.fullmatch(name) is not None


def _agreement(codes: NDArray[np.int64], targets: NDArray[Any]) -> float:
    """How much more alike two rows of one value are than two rows: Cohen's kappa of pairs, or the ICC of values."""
    sizes = np.bincount(codes)
    pairs = float((sizes * (sizes - 1)).sum())
    if not pairs:
        return 0.0
    if targets.ndim == 1:
        number = int(targets.max()) + 1
        both = np.unique(codes * number + targets, return_counts=True)[1].astype(np.float64)
        same = float((both * (both - 1)).sum()) / pairs
        shares = np.bincount(targets) / len(targets)
        chance = float((shares**2).sum())
        return (same - chance) / (1 - chance) if chance < 1 else 0.0
    scores = []
    for values in targets.T.astype(np.float64):
        centered = values - values.mean()
        variance = float((centered**2).mean())
        sums = np.bincount(codes, weights=centered)
        squares = np.bincount(codes, weights=centered**2)
        scores.append(float((sums**2 - squares).sum()) / pairs / variance if variance > 0 else 0.0)
    return min(scores)
