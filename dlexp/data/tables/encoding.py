"""Encoding of columns as features, with statistics of the training rows only.

Symbols: N rows, F features after encoding, O targets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle, Split
from dlexp.data.preprocess import Affine
from dlexp.data.tables.feature_array import ROWS, FeatureArray, fingerprint_in_order
from dlexp.data.tables.features.encodings import (
    AnyColumn,
    CategoryColumn,
    Column,
    DateCells,
    DateColumn,
    DatePart,
    HashColumn,
    NumberColumn,
    TextCells,
    first_features,
    part_of,
    plain_column,
)
from dlexp.data.targets import target_unit
from dlexp.errors import DataError
from dlexp.runtime.rounding import mean_and_std
from dlexp.specs import ClassSpec, DataSpec, TableSpec, TargetSpec, ValueSpec

_MIN_STEPS = 100.0  # float32 steps per deviation, so that rounding loses at most a hundredth
_MANY = 1 << 16  # numbers from which the median is looked for in a part of them
_SAMPLE = 1 << 10  # numbers of the sample that tells which part
_AROUND = (0.44, 0.56)  # shares of the sample between which the median nearly always is: four deviations of its share
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
    if isinstance(column, TextCells) or column.dtype == object:
        return _fit_categories(name, TextCells.of(column), fitting)
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
    """The median; 0 for no numbers. They may be reordered, without a copy.

    Of many numbers, only those near the median of a sample are sorted, where the median is among them.
    """
    count = len(numbers)
    if count < _MANY:
        return float(np.median(numbers, overwrite_input=True)) if count else 0.0
    sample = np.sort(numbers[:: count // _SAMPLE])
    low, high = sample[[int(len(sample) * share) for share in _AROUND]]
    near = numbers[(numbers >= low) & (numbers <= high)]
    before = int(np.count_nonzero(numbers < low))
    places = [(count - 1) // 2 - before, count // 2 - before]
    if places[0] < 0 or places[1] >= len(near):
        return float(np.median(numbers, overwrite_input=True))
    near.partition(places)
    return float(np.mean(near[places[0] : places[1] + 1]))


def _fit_categories(name: str, column: TextCells, fitting: Fitting) -> CategoryColumn | HashColumn:
    used = column.used()
    if fitting.most is None or len(used) <= fitting.most:
        return CategoryColumn(name, tuple(sorted(used)))
    if fitting.rare == "hash":
        return HashColumn(name, fitting.most)
    counts = dict(zip(column.texts, column.counts().tolist(), strict=True))
    frequent = sorted(used, key=lambda text: (-counts[text], text))[: fitting.most - 1]
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


def chosen(column: Column, rows: NDArray[Any]) -> Column:
    """Some rows of a column; integers as float64."""
    if isinstance(column, DateCells):
        return DateCells(column.values[rows], column.order, column.zoned)
    if isinstance(column, TextCells):
        return TextCells(column.codes[rows], column.texts)
    cells = column.take(rows)
    return cells.astype(np.float64) if cells.dtype.kind in "iu" else cells


def missing_in(column: Column) -> NDArray[np.bool_]:
    """(N,) whether each cell is missing."""
    found: Any
    if isinstance(column, DateCells):
        found = np.isnat(column.values)
    elif isinstance(column, TextCells):
        found = column.codes < 0
    else:
        found = column == None if column.dtype == object else np.isnan(column)  # noqa: E711 - each cell
    missing: NDArray[np.bool_] = np.asarray(found, dtype=np.bool_)
    return missing


def _put(features: FeatureArray, first: int, fit: AnyColumn, column: Column, order: NDArray[np.int64]) -> None:
    """Encode a column, with its rows in `order` (N,). Raises DataError for a row that overflows float32."""
    largest = float(np.finfo(np.float32).max)
    for start in range(0, len(order), ROWS):
        encoded = fit.encode(chosen(column, order[start : start + ROWS]))
        if encoded.max(initial=0.0) > largest or encoded.min(initial=0.0) < -largest:
            rule = "a held-out row is too far from the training rows to be standardized"
            remedy = "Correct it, or drop the column with data.columns."
            raise DataError(rule, column=fit.name, remedy=remedy, code="out-of-range")
        features.put(start, first, encoded)


def _blocks(fitted: Sequence[AnyColumn]) -> tuple[tuple[int, int], ...]:
    """(first feature, number of features) of each categorical column, in the order of the features."""
    return tuple(
        (first, fit.width)
        for fit, first in zip(fitted, first_features(fitted), strict=False)
        if isinstance(fit, CategoryColumn | HashColumn) and fit.width
    )


@dataclass
class _Fits:
    """The encodings of the columns of a table.

    train        training rows
    standardize  whether numbers are standardized
    notes        messages to the user
    missing      see `DataBundle`
    """

    train: NDArray[np.int64]
    standardize: bool
    fitting: Fitting
    notes: list[str]
    columns: list[AnyColumn] = field(default_factory=list)
    missing: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)

    def add(self, name: str, column: Column) -> None:
        """Fit a column to the training rows."""
        here = chosen(column, self.train)
        fit = fit_column(name, here, self.standardize, self.fitting)
        self.notes += [*_of_one_value(fit, here), *_of_rare(fit, here, self.fitting)]
        self.missing.update(_missing(name, column))
        self.columns.append(fit)


def _features(columns: dict[str, Any], fits: _Fits, order: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, F) with the rows in `order` (N,)."""
    places = first_features(fits.columns)
    features = FeatureArray(len(order), places[-1])
    for fit, first in zip(fits.columns, places, strict=False):
        _put(features, first, fit, columns[fit.name], order)
        if fits.fitting.frees:
            del columns[fit.name]
    return features.finished()


def _order(columns: Mapping[str, Column], rows: tuple[NDArray[np.int64], ...]) -> NDArray[np.int64]:
    """(N,) the rows of train, val and test, and behind them those of none."""
    is_other = np.ones(len(next(iter(columns.values()))), dtype=np.bool_)
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
        columns: Name -> cells (N,): float64 with NaN, or str objects with None, for missing ones; integers; `TextCells`
            or `DateCells`.
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
    fits = _Fits(rows[0], standardize, fitting or Fitting(), [*notes])
    for name, column in columns.items():
        fits.add(name, column)
    features, fitted = _features(columns, fits, order), fits.columns
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
        fingerprint=fingerprint_in_order(features, order, targets),
        preprocessing={"kind": "table", "columns": [plain_column(fit) for fit in fitted]},
        notes=tuple(fits.notes),
        missing=fits.missing,
    )


def _of_one_value(fit: AnyColumn, column: Column) -> list[str]:
    """A message about a column whose numbers, those of the training rows, differ only by rounding."""
    if not isinstance(fit, NumberColumn) or not isinstance(column, np.ndarray) or fit.std != 1.0:
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
    count = len(TextCells.of(column).used())
    what = f"column {fit.name!r} has {count:,} categories in the training rows, more than data.max_categories="
    how = f"they are hashed to {fit.width} features"
    if isinstance(fit, CategoryColumn):
        how = f"all but the {len(fit.categories)} most frequent are one feature, as are new ones"
    return [f"{what}{fitting.most}: {how}"]


def _missing(name: str, column: Column) -> dict[str, tuple[int, tuple[int, ...]]]:
    """The number of missing cells of a column, and the first ten rows with one; nothing where none is missing."""
    rows = np.flatnonzero(missing_in(column))
    return {name: (len(rows), tuple(rows[:10].tolist()))} if len(rows) else {}
