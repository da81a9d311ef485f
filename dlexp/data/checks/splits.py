"""Checks of splits: disjoint, large enough, with all classes, balanced.

Symbols: N samples of a split, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.splits.divided_groups import DividedGroups
from dlexp.data.splitting import Rows
from dlexp.errors import DataError
from dlexp.findings import Finding, Severity, counted, finding
from dlexp.text.quoting import setting

_FEW = 50  # held-out samples, each of which changes a share by two percentage points
_UNEVEN, _RATHER_UNEVEN = 10.0, 3.0  # ratio of the largest class to the smallest


def overlaps(rows: Mapping[str, Rows]) -> list[Finding]:
    """Findings for samples in more than one split.

    rows  (N,) source row numbers of the samples of each split
    """
    found = []
    for one, other in combinations(rows, 2):
        both = np.intersect1d(rows[one], rows[other])
        if len(both):
            what = f"{counted(len(both), 'sample is', 'samples are')} in both {one} and {other}"
            found.append(finding("error", "overlap", what, [f"row {row}" for row in both.tolist()]))
    return found


def sizes(counts: Mapping[str, int]) -> list[Finding]:
    """Findings for small held-out splits.

    Raises DataError for a split without samples, which the other checks cannot process.
    """
    found = []
    for name, count in counts.items():
        if not count:
            remedy = "" if name == "train" else f"Set data.{name}_fraction=0.2"
            raise DataError(f"the {name} split has no samples", remedy=remedy, code="too-few-samples")
        if name != "train" and count < _FEW:
            what = f"{name} has {counted(count, 'sample')}: each changes a share by {100 / count:.1f} percentage points"
            found.append(finding("note", "small split", what))
    return found


def divided(columns: Mapping[str, DividedGroups]) -> list[Finding]:
    """Findings for columns that look like groups, such as patients, whose rows are in several splits.

    columns  name -> what it divides
    """
    found = []
    for name, hint in columns.items():
        what = f"column {name!r} looks like groups: rows of one value have targets that agree by {hint.agreement:.0%} "
        what += f"beyond chance, and {hint.divided:,} of {hint.values:,} values are in several splits, so that "
        what += "held-out rows are of groups that training knows"
        found.append(finding("warning", "divided groups", what, [name], setting("data.group", name)))
    return found


def _of_missing(split: str, settings: Mapping[str, Any]) -> str:
    """The remedy for a class that is missing from a split."""
    if split == "train":
        return "Add samples or drop the class."
    own = [key for key in ("split_column", "time", f"{split}_path") if settings.get(key) not in (None, "")]
    if own:
        return f"Add samples of it to {split}: {setting(f'data.{own[0]}', settings[own[0]])} divides the splits."
    if "split_seed" not in settings:
        return f"Add samples of it to {split}."
    return "If dlexp draws the split, set data.split_seed=1. Else add samples."


def classes(
    counts: Mapping[str, NDArray[np.int64]], names: Sequence[str], remedy: str, settings: Mapping[str, Any]
) -> list[Finding]:
    """Findings for classes missing from a split, and for imbalanced classes in train.

    counts    (K,) number of samples of each class, for each split
    remedy    for imbalanced classes
    settings  keys of data, which say what divides the splits
    """
    found = []
    for split, each in counts.items():
        missing = [names[number] for number in np.flatnonzero(each == 0).tolist()]
        if missing and each.sum():
            what = f"{counted(len(missing), 'class is', 'classes are')} missing from {split}"
            severity: Severity = "error" if split == "train" else "warning"
            found.append(finding(severity, "missing class", what, missing, _of_missing(split, settings)))
    train = counts["train"]
    if train.all() and len(train) and train.max() >= _RATHER_UNEVEN * train.min():
        most, least = int(train.argmax()), int(train.argmin())
        what = f"class {names[most]} has {train[most] / train[least]:.1f} times the samples of class {names[least]}"
        is_much = train.max() >= _UNEVEN * train.min()
        where = [f"{names[number]}: {train[number]:,}" for number in train.argsort(kind="stable").tolist()]
        found.append(finding("warning" if is_much else "note", "imbalance", what, where, remedy))
    return found
