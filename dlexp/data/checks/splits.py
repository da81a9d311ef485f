"""Checks of the splits: disjoint, large enough, every class in each, none of them rare.

Symbols: N samples of a split, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dlexp.data.splitting import Rows
from dlexp.errors import DataError
from dlexp.findings import Finding, counted, finding

_FEW = 50  # held-out samples, of which one more or less changes a share by two points
_UNEVEN, _RATHER_UNEVEN = 10.0, 3.0  # samples of the most frequent class for each of the rarest


def overlaps(rows: Mapping[str, Rows]) -> list[Finding]:
    """Samples that are in more than one split.

    rows  numbers (N,) of the samples of each split in the source
    """
    found = []
    for one, other in combinations(rows, 2):
        both = np.intersect1d(rows[one], rows[other])
        if len(both):
            what = f"{counted(len(both), 'sample is', 'samples are')} in {one} and in {other}"
            found.append(finding("error", "overlap", what, [f"row {row}" for row in both.tolist()]))
    return found


def sizes(counts: Mapping[str, int]) -> list[Finding]:
    """Held-out splits that are too small to tell much.

    Raises DataError for a split without samples, of which no other check can say anything.
    """
    found = []
    for name, count in counts.items():
        if not count:
            remedy = "" if name == "train" else f"data.{name}_fraction=0.2"
            raise DataError(f"the {name} split has no samples", remedy=remedy, code="too-few-samples")
        if name != "train" and count < _FEW:
            what = f"{name} has {counted(count, 'sample')}: one of them moves a share by {100 / count:.1f} points"
            found.append(finding("note", "small split", what))
    return found


def classes(counts: Mapping[str, NDArray[np.int64]], names: Sequence[str], remedy: str) -> list[Finding]:
    """Classes that a split lacks, and classes of very different frequency in train.

    counts  samples (K,) of each class in each split
    remedy  against uneven classes
    """
    found = []
    for split, each in counts.items():
        lacking = [names[number] for number in np.flatnonzero(each == 0).tolist()]
        if lacking and each.sum():
            what = f"{counted(len(lacking), 'class is', 'classes are')} not in {split}"
            todo = "add samples, or leave the class out" if split == "train" else "data.split_seed=1 or more samples"
            found.append(finding("error" if split == "train" else "warning", "class lacks", what, lacking, todo))
    learnt = counts["train"]
    if learnt.all() and len(learnt) and learnt.max() >= _RATHER_UNEVEN * learnt.min():
        most, least = int(learnt.argmax()), int(learnt.argmin())
        what = f"class {names[most]} has {learnt[most] / learnt[least]:.1f} times the samples of class {names[least]}"
        is_much = learnt.max() >= _UNEVEN * learnt.min()
        where = [f"{names[number]}: {learnt[number]:,}" for number in learnt.argsort(kind="stable").tolist()]
        found.append(finding("warning" if is_much else "note", "imbalance", what, where, remedy))
    return found
