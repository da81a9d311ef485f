"""The division of rows into train, validation and test by what the data says of each row.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.splits.by_time import cut_by_time
from dlexp.data.splits.groups import deal_groups
from dlexp.data.splitting import Rows, Shares, held_out, split_rows
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.text.shown_time import shown_time

PARTS = ("train", "val", "test")
_NAMED = 5  # groups and classes named in a message


@dataclass(frozen=True)
class SplitBy:
    """The columns or arrays that divide samples: data.group, data.time and data.split_column; None for none."""

    group: str | None = None
    time: str | None = None
    split_column: str | None = None

    @property
    def keys(self) -> dict[str, str]:
        """Key without data. -> the column or array that it names."""
        found = {"group": self.group, "time": self.time, "split_column": self.split_column}
        return {key: name for key, name in found.items() if name is not None}

    @property
    def names(self) -> list[str]:
        """The columns or arrays, which must be read."""
        return list(self.keys.values())

    @staticmethod
    def reason(key: str) -> str:
        """Why the column or array of a key is no feature."""
        return f"divides the splits (data.{key})"

    def omitted(self, declared: Mapping[str, str]) -> dict[str, str]:
        """Column -> why it is no feature, unless `declared` (data.columns) gives it a kind."""
        return {name: self.reason(key) for key, name in self.keys.items() if declared.get(name, "drop") == "drop"}


@dataclass(frozen=True)
class RowKeys:
    """What divides the rows.

    groups       (N,) group numbers, each from 0 to their number - 1; None for no groups
    group_names  the name of each group
    times        (N,) numbers or moments; None for no times
    parts        (N,) the split that the data gives to each row, train, val or test; None if it gives none
    """

    groups: NDArray[np.int64] | None = None
    group_names: Sequence[str] = ()
    times: NDArray[Any] | None = None
    parts: NDArray[np.str_] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the rows are divided at random alone."""
        return self.groups is None and self.times is None and self.parts is None


@dataclass(frozen=True)
class Division:
    """Row numbers of train, val and test, and messages to the user about how they were divided.

    groups  (N,) group numbers by which they were divided; None for no groups
    """

    rows: tuple[Rows, Rows, Rows]
    notes: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None


def divide(
    count: int,
    how: Shares,
    labels: NDArray[Any] | None,
    classes: Sequence[str],
    keys: RowKeys,
    exempt: Collection[int] = (),
) -> Division:
    """The division of `count` rows.

    Rows that the data gives to a split are there; a split that it does not give is held out of train, by groups, by
    time or at random. No group is in two splits, and with times train is the earliest and test the latest.

    Args:
        count: N.
        how: Share of validation and of test rows, and the seed of the draw, which has no effect on a division by time.
        labels: (N,) class numbers; ignored without `classes`.
        classes: Name of each class; () for rows without classes.
        keys: What divides the rows.
        exempt: Numbers of classes that no split needs.

    Raises DataError for a split without rows, for other classes that train does not have, and for a group that the data
    gives to two splits.
    """
    numbers = labels.astype(np.int64) if labels is not None and classes else None
    if keys.is_empty:
        return Division(split_rows(count, how, labels, classes, exempt))
    given = _given(count, keys)
    missing = [part for part in PARTS[1:] if not len(given[part])]
    if keys.parts is not None:  # before anything is held out of it
        _refuse_absent(given["train"], numbers, classes, exempt)
    if keys.groups is not None:
        _refuse_divided(given, keys.groups, keys.group_names)
    if missing:
        shares = {part: share for part, share in zip(PARTS[1:], how[:2], strict=True) if part in missing}
        given |= _held_out(given["train"], shares, how[2], (numbers, classes, exempt), keys)
    rows = given["train"], given["val"], given["test"]
    notes = _absent(rows, numbers, classes, exempt)
    if keys.parts is not None:
        notes.insert(0, _of_parts(rows, missing))
    if keys.groups is not None:
        notes.insert(0, _of_groups(rows, keys.groups))
    if keys.times is not None:
        notes.insert(0, _of_times(rows, keys.times))
    return Division(rows, tuple(notes), keys.groups)


def _given(count: int, keys: RowKeys) -> dict[str, Rows]:
    """Split -> the rows that the data gives to it; all in train where it gives none."""
    if keys.parts is None:
        empty = np.zeros(0, dtype=np.int64)
        return {"train": np.arange(count, dtype=np.int64), "val": empty, "test": empty}
    found = {part: np.flatnonzero(keys.parts == part).astype(np.int64) for part in PARTS}
    if not len(found["train"]):
        rule = "gives no sample to train"
        raise DataError(rule, remedy="Write train for those to learn from.", code="too-few-samples")
    return found


def _held_out(
    rows: Rows,
    shares: dict[str, float],
    seed: int,
    what: tuple[NDArray[np.int64] | None, Sequence[str], Collection[int]],
    keys: RowKeys,
) -> dict[str, Rows]:
    """Train and the splits of `shares`, all out of `rows`.

    what  labels, classes and those that no split needs
    """
    labels, classes, exempt = what
    names = ["train", *shares]
    portions = [1 - sum(shares.values()), *shares.values()]
    if keys.times is not None:
        return dict(zip(names, cut_by_time(rows, keys.times, portions), strict=True))
    if keys.groups is not None:
        present, numbers = np.unique(keys.groups[rows], return_inverse=True)
        if len(present) < len(names):
            rule = f"has {counted(len(present), 'group')} for {' and '.join(names)}: each needs one"
            raise DataError(rule, remedy="Add samples of other groups, or remove data.group.", code="too-few-samples")
        mine = None if labels is None else np.unique(labels[rows], return_inverse=True)[1].astype(np.int64)
        part = deal_groups(numbers.astype(np.int64), mine, portions, seed)
        if len(np.unique(part)) < len(names):
            rule = f"has {counted(len(present), 'group')}: with one of each class in train, none is left for each of "
            rule += " and ".join(names[1:])
            raise DataError(rule, remedy="Add samples of other groups, or remove data.group.", code="too-few-samples")
        return {name: rows[part == number] for number, name in enumerate(names)}
    found = {}
    if len(shares) == 2 and len(rows):
        given = None if labels is None else labels[rows]
        parts = split_rows(len(rows), (shares["val"], shares["test"], seed), given, classes, exempt)
        return {name: rows[part] for name, part in zip(names, parts, strict=True)}
    for name, share in shares.items():
        rows, found[name] = held_out(rows, labels, classes, share, seed, exempt)
    return {"train": rows, **found}


def _refuse_divided(given: dict[str, Rows], groups: NDArray[np.int64], names: Sequence[str]) -> None:
    """Raise DataError for groups that the data gives to two splits."""
    seen = np.zeros((len(names), len(PARTS)), dtype=np.bool_)
    for number, part in enumerate(PARTS):
        seen[groups[given[part]], number] = True
    both = np.flatnonzero(seen.sum(axis=1) > 1)
    if len(both):
        shown = ", ".join(repr(names[group]) for group in both[:_NAMED]) + (", ..." if len(both) > _NAMED else "")
        where = " and ".join(part for part, is_in in zip(PARTS, seen[both[0]], strict=True) if is_in)
        rule = f"{counted(len(both), 'group is', 'groups are')} in two splits ({shown}; {names[both[0]]!r}: {where})"
        remedy = "Give each group to one split, or remove data.group."
        raise DataError(rule, remedy=remedy, code="invalid-data")


def _absent(
    rows: tuple[Rows, ...], labels: NDArray[np.int64] | None, classes: Sequence[str], exempt: Collection[int]
) -> list[str]:
    """Messages about classes without samples in val or test. Raises DataError for those without rows in train."""
    notes: list[str] = []
    if labels is None:
        return notes
    _refuse_absent(rows[0], labels, classes, exempt)
    for part, some in zip(PARTS[1:], rows[1:], strict=True):
        if rule := _lacking(labels[some], classes, exempt):
            notes.append(f"{rule} in {part}: no metric of {part} says how well they are known")
    return notes


def _refuse_absent(
    train: Rows, labels: NDArray[np.int64] | None, classes: Sequence[str], exempt: Collection[int]
) -> None:
    """Raise DataError for all classes without samples in train."""
    if labels is not None and (rule := _lacking(labels[train], classes, exempt)):
        remedy = "Add samples of them to train, or remove them from the other splits."
        raise DataError(f"{rule} in train", remedy=remedy, code="too-few-samples")


def _lacking(labels: NDArray[np.int64], classes: Sequence[str], exempt: Collection[int]) -> str:
    """Which classes have no samples, but for those that are exempt; "" if all have."""
    counts = np.bincount(labels, minlength=len(classes))
    absent = [name for n, name in enumerate(classes) if not counts[n] and n not in exempt]
    if not absent:
        return ""
    shown = ", ".join(map(repr, absent[:_NAMED])) + (f", ... ({len(absent)} in all)" * (len(absent) > _NAMED))
    return f"{'class' if len(absent) == 1 else 'classes'} {shown} {'has' if len(absent) == 1 else 'have'} no samples"


def _shares(rows: tuple[Rows, ...]) -> str:
    total = sum(map(len, rows))
    return ", ".join(f"{part} {len(some) / total:.1%}" for part, some in zip(PARTS, rows, strict=True))


def _of_groups(rows: tuple[Rows, ...], groups: NDArray[np.int64]) -> str:
    numbers = [len(np.unique(groups[some])) for some in rows]
    held = ", ".join(f"{number:,} in {part}" for part, number in zip(PARTS, numbers, strict=True))
    note = f"split by group: {counted(sum(numbers), 'group')}, {held}; samples: {_shares(rows)}"
    return note + ("; every group has one sample" if sum(numbers) == sum(map(len, rows)) else "")


def _of_times(rows: tuple[Rows, ...], times: NDArray[Any]) -> str:
    ends = [(times[some].min(), times[some].max()) for some in rows]
    parts = [f"{part} from {shown_time(a)} to {shown_time(b)}" for part, (a, b) in zip(PARTS, ends, strict=True)]
    overlap = ends[0][1] >= ends[1][0] or ends[1][1] >= ends[2][0]
    warning = "; the given splits overlap in time" if overlap else ""
    return f"split by time: {', '.join(parts)}; samples: {_shares(rows)}{warning}"


def _of_parts(rows: tuple[Rows, ...], missing: Sequence[str]) -> str:
    sizes = ", ".join(f"{len(some):,} samples in {part}" for part, some in zip(PARTS, rows, strict=True))
    held = f"; {' and '.join(missing)} held out of train" if missing else ""
    return f"split as the data says: {sizes}{held}"
