"""Encoding of columns as features, with statistics of the training rows only.

Symbols: N rows, F features after encoding, O targets.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle, Split
from dlexp.data.preprocess import Affine
from dlexp.data.tables.features.encodings import (
    AnyColumn,
    CategoryColumn,
    Column,
    DateCells,
    DateColumn,
    DatePart,
    HashColumn,
    NumberColumn,
    first_features,
    part_of,
    plain_column,
)
from dlexp.data.targets import target_unit
from dlexp.errors import DataError
from dlexp.runtime.rounding import mean_and_std
from dlexp.spec_base import TargetSpec
from dlexp.specs import ClassSpec, DataSpec, TableSpec, ValueSpec

_MIN_STEPS = 100.0  # float32 steps per deviation, so that rounding loses at most a hundredth
_ROWS = 1 << 15  # rows that are encoded at a time, which bounds the memory of float64
_ROWS_AT_ONCE = 1 << 12  # rows that are written at a time, so that they stay in the cache
_PARTS = ("elapsed", "year", "month", "weekday", "hour")
_CYCLIC = ("month", "weekday", "hour")


@dataclass(frozen=True)
class Fitting:
    """How columns are fitted, besides standardization.

    rare   categories beyond `most`: `other` is one feature of all but the most frequent ones, `hash` is `most` features
    most   the largest number of features of a categorical column, None for any
    units  name -> unit behind each number
    loose  columns whose cells of another kind are missing ones
    frees  take the columns out of their dict as they are encoded, so that their memory can be used for the features
    """

    rare: str = "other"
    most: int | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    loose: Collection[str] = ()
    frees: bool = False


def fit_column(name: str, column: Column, standardize: bool, fitting: Fitting | None = None) -> AnyColumn:
    """Fit the encoding of a column to its training rows: median, mean and deviation, or the categories that occur.

    The rows of numbers may be reordered.
    Raises DataError for numbers that float32 cannot distinguish without standardization.
    """
    fitting = fitting or Fitting()
    loose = name in fitting.loose
    if isinstance(column, DateCells):
        return _fit_dates(name, column, standardize, loose)
    if column.dtype == object:
        return _fit_categories(name, column, fitting)
    lacking = np.isnan(column)
    present = column[~lacking] if lacking.any() else column
    unit = fitting.units.get(name, "")
    if not standardize:
        _refuse_narrowing(name, present)
        return NumberColumn(name, _median(present), 0.0, 1.0, unit, loose)
    if len(present) < len(column):
        fill = _median(present)
        mean, std = (float(found) for found in mean_and_std(np.where(lacking, fill, column)))
    else:
        mean, std = (float(found) for found in mean_and_std(column))
        fill = _median(column)
    return NumberColumn(name, fill, mean, std or 1.0, unit, loose)


def _median(numbers: NDArray[np.float64]) -> float:
    """The median; 0 for no numbers. They are reordered, without a copy."""
    return float(np.median(numbers, overwrite_input=True)) if len(numbers) else 0.0


def _fit_categories(name: str, column: NDArray[Any], fitting: Fitting) -> CategoryColumn | HashColumn:
    counts = Counter(column.tolist())
    counts.pop(None, None)
    if fitting.most is None or len(counts) <= fitting.most:
        return CategoryColumn(name, tuple(sorted(counts)))
    if fitting.rare == "hash":
        return HashColumn(name, fitting.most)
    frequent = sorted(counts, key=lambda text: (-counts[text], text))[: fitting.most - 1]
    return CategoryColumn(name, tuple(sorted(frequent)), rest=True)


def _fit_dates(name: str, column: DateCells, standardize: bool, loose: bool) -> DateColumn:
    present = column.values[~np.isnat(column.values)]
    origin = int(present.astype(np.int64).min()) if len(present) else 0
    parts = []
    for part in ("hour",) if column.is_time else _PARTS:
        numbers = part_of(present, part, origin)
        if not len(numbers) or numbers.min() == numbers.max():
            continue
        if part in _CYCLIC:
            parts.append(DatePart(part))
            continue
        fill = float(np.median(numbers)) if part == "elapsed" else float(numbers.mean())
        if standardize:
            filled = np.append(numbers, np.full(len(column.values) - len(numbers), fill))
            mean, std = (float(found) for found in mean_and_std(filled))
            parts.append(DatePart(part, fill, mean, std or 1.0))
        else:
            _refuse_narrowing(name, numbers)
            parts.append(DatePart(part, fill))
    return DateColumn(name, tuple(parts), origin, column.order, column.zoned, column.is_time, loose)


def _refuse_narrowing(name: str, present: NDArray[Any]) -> None:
    """Raise DataError for numbers whose variation would be lost in float32."""
    if not len(present):
        return
    std, largest = float(mean_and_std(present)[1]), float(np.abs(present).max())
    limits = np.finfo(np.float32)
    if largest > float(limits.max) or 0 < std < max(float(limits.tiny), _MIN_STEPS * largest * float(limits.eps)):
        rule = f"numbers up to {largest:.6g} with a deviation of {std:.3g} exceed the precision of float32"
        raise DataError(rule, column=name, remedy="Set data.standardize=true", code="out-of-range")


def chosen(column: Column, rows: NDArray[Any] | slice) -> Column:
    """Some rows of a column."""
    if isinstance(column, DateCells):
        return DateCells(column.values[rows], column.order, column.zoned)
    return column[rows]


def missing_in(column: Column) -> NDArray[np.bool_]:
    """(N,) whether each cell is missing."""
    found: Any
    if isinstance(column, DateCells):
        found = np.isnat(column.values)
    else:
        found = column == None if column.dtype == object else np.isnan(column)  # noqa: E711 - each cell
    missing: NDArray[np.bool_] = np.asarray(found, dtype=np.bool_)
    return missing


def _encoded(fit: AnyColumn, column: Column, order: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, features of the column) with its rows in `order` (N,). Raises DataError for a row that overflows float32."""
    features = np.empty((len(order), fit.width), dtype=np.float32)
    for start in range(0, len(order), _ROWS):
        encoded = fit.encode(chosen(column, order[start : start + _ROWS]))
        if np.abs(encoded).max(initial=0.0) > np.finfo(np.float32).max:
            rule = "a held-out row is too far from the training rows to be standardized"
            remedy = "Correct it, or drop the column with data.columns."
            raise DataError(rule, column=fit.name, remedy=remedy, code="out-of-range")
        features[start : start + _ROWS] = encoded
    return features


def _side_by_side(blocks: list[NDArray[np.float32]], count: int) -> NDArray[np.float32]:
    """(N, F) of blocks (N, features of a column), which are written row by row."""
    places = np.cumsum([0, *(block.shape[1] for block in blocks)]).tolist()
    features = np.empty((count, places[-1]), dtype=np.float32)
    for start in range(0, count, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        for block, first, end in zip(blocks, places, places[1:], strict=False):
            features[rows, first:end] = block[rows]
    return features


def _blocks(fitted: Sequence[AnyColumn]) -> tuple[tuple[int, int], ...]:
    """(first feature, number of features) of each categorical column, in the order of the features."""
    return tuple(
        (first, fit.width)
        for fit, first in zip(fitted, first_features(fitted), strict=False)
        if isinstance(fit, CategoryColumn | HashColumn) and fit.width
    )


@dataclass
class _Features:
    """The columns of a table as they are encoded."""

    notes: list[str]
    fitted: list[AnyColumn] = field(default_factory=list)
    blocks: list[NDArray[np.float32]] = field(default_factory=list)
    missing: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)

    def add(
        self, name: str, column: Column, order: NDArray[np.int64], how: tuple[NDArray[np.int64], bool, Fitting]
    ) -> None:
        """Fit a column to the training rows and encode all rows in their `order`.

        how  training rows, whether numbers are standardized, and how else columns are fitted
        """
        train, standardize, fitting = how
        here = chosen(column, train)
        fit = fit_column(name, here, standardize, fitting)
        self.notes += [*_of_one_value(fit, here), *_of_rare(fit, here, fitting)]
        self.missing.update(_missing(name, column))
        self.fitted.append(fit)
        self.blocks.append(_encoded(fit, column, order))


def _order(columns: Mapping[str, Column], rows: tuple[NDArray[np.int64], ...]) -> NDArray[np.int64]:
    """(N,) the rows of train, val and test, and behind them those of none."""
    some = next(iter(columns.values()))
    count = len(some.values if isinstance(some, DateCells) else some)
    is_other = np.ones(count, dtype=np.bool_)
    for part in rows:
        is_other[part] = False
    return np.concatenate([*rows, np.flatnonzero(is_other)])


def build_table(
    columns: dict[str, Any],
    targets: NDArray[Any] | None,
    class_names: tuple[str, ...],
    target_names: tuple[str, ...],
    rows: tuple[NDArray[np.int64], ...],
    standardize: bool,
    notes: tuple[str, ...] = (),
    fitting: Fitting | None = None,
) -> DataBundle:
    """Build a DataBundle from columns.

    The features are one array (N, F) of float32, of which the splits are parts.

    Args:
        columns: Name -> cells (N,): float64 with NaN, or str objects with None, for missing ones; or `DateCells`.
        targets: (N,) int64 class numbers, (N, O) float64 values, or None.
        class_names: Names of the classes, () for values.
        target_names: Names of the values.
        rows: Row numbers of train, val and test.
        standardize: Standardize numeric columns.
        notes: Messages to the user.
        fitting: How columns are fitted, besides standardization.

    Raises:
        DataError: A column cannot be standardized.
    """
    order = _order(columns, rows)
    made = _Features(notes=[*notes])
    for name in list(columns):
        column = columns.pop(name) if fitting is not None and fitting.frees else columns[name]
        made.add(name, column, order, (rows[0], standardize, fitting or Fitting()))
        del column
    features, fitted = _side_by_side(made.blocks, len(order)), made.fitted
    made.blocks.clear()
    learned: TargetSpec | None = ClassSpec(class_names) if class_names else None
    if targets is not None and not class_names:
        learned = ValueSpec(target_names, *target_unit(targets, rows[0], target_names))
    ends = np.cumsum([0, *map(len, rows)]).tolist()
    return DataBundle(
        spec=DataSpec(TableSpec(features.shape[1], _blocks(fitted)), learned),
        splits={
            name: Split.in_memory(
                torch.from_numpy(features[ends[part] : ends[part + 1]]),
                None if targets is None else torch.from_numpy(targets[rows[part]]),
                torch.from_numpy(rows[part]),
            )
            for part, name in enumerate(("train", "val", "test"))
        },
        preprocess=Affine(torch.tensor(1.0), torch.tensor(0.0)),
        fingerprint=_fingerprint(features, order, targets),
        preprocessing={"kind": "table", "columns": [plain_column(fit) for fit in fitted]},
        notes=tuple(made.notes),
        missing=made.missing,
    )


def _fingerprint(features: NDArray[np.float32], order: NDArray[np.int64], targets: NDArray[Any] | None) -> str:
    """SHA-256 of features and targets in the order of the file, as `fingerprint_of`, without a copy of the features.

    order  (N,) the row of the file in each row of `features`
    """
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    digest = hashlib.sha256(f"{features.shape}{features.dtype}".encode())
    for start in range(0, len(order), _ROWS):
        digest.update(features[place[start : start + _ROWS]].tobytes())
    if targets is not None:
        digest.update(f"{targets.shape}{targets.dtype}".encode())
        digest.update(np.ascontiguousarray(targets).tobytes())
    return digest.hexdigest()


def _of_one_value(fit: AnyColumn, column: Column) -> list[str]:
    """A message about a column whose numbers, those of the training rows, differ only by rounding."""
    if not isinstance(fit, NumberColumn) or isinstance(column, DateCells) or fit.std != 1.0:
        return []
    present = column[~np.isnan(column)]
    if not len(present) or present.min() == present.max() or mean_and_std(present)[1]:
        return []
    return [f"column {fit.name!r}: the training values differ only by rounding and are treated as equal"]


def _of_rare(fit: AnyColumn, column: Column, fitting: Fitting) -> list[str]:
    """A message about a categorical column with more categories, in the training rows, than features."""
    if isinstance(column, DateCells) or not (
        isinstance(fit, HashColumn) or (isinstance(fit, CategoryColumn) and fit.rest)
    ):
        return []
    count = len(set(column.tolist()) - {None})
    what = f"column {fit.name!r} has {count:,} categories in the training rows, more than data.max_categories="
    how = f"they are hashed to {fit.width} features"
    if isinstance(fit, CategoryColumn):
        how = f"all but the {len(fit.categories)} most frequent are one feature, as are new ones"
    return [f"{what}{fitting.most}: {how}"]


def _missing(name: str, column: Column) -> dict[str, tuple[int, tuple[int, ...]]]:
    """The number of missing cells of a column, and the first ten rows with one; nothing where none is missing."""
    rows = np.flatnonzero(missing_in(column))
    return {name: (len(rows), tuple(rows[:10].tolist()))} if len(rows) else {}
