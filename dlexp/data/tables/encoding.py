"""Encoding of numeric and categorical columns as features, with statistics of the training rows only.

Symbols: N rows, F features after encoding, O targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle, Split, fingerprint_of
from dlexp.data.preprocess import Affine
from dlexp.data.targets import target_unit
from dlexp.errors import DataError
from dlexp.runtime.rounding import mean_and_std
from dlexp.specs import ClassSpec, DataSpec, TableSpec, TargetSpec, ValueSpec

_AT_A_TIME = 1 << 14  # rows copied at a time
_MIN_STEPS = 100.0  # float32 steps per deviation, so that rounding loses at most a hundredth

Column = NDArray[Any]  # (N,) float64 with NaN for a missing number, or (N,) str objects with None


@dataclass(frozen=True)
class NumberColumn:
    """The encoding of a numeric column: a missing cell becomes `fill`, then (x - mean) / std."""

    name: str
    fill: float
    mean: float
    std: float

    def encode(self, column: Column) -> NDArray[np.float64]:
        """Encode cells (N,) as (N, 1)."""
        filled = np.where(np.isnan(column), self.fill, column)
        scaled: NDArray[np.float64] = ((filled - self.mean) / self.std)[:, None]
        return scaled


@dataclass(frozen=True)
class CategoryColumn:
    """The encoding of a categorical column: one-hot, all zeros for a missing or unknown category."""

    name: str
    categories: tuple[str, ...]

    def encode(self, column: Column) -> NDArray[np.float64]:
        """Encode cells (N,) as (N, number of categories)."""
        import pandas as pd

        codes, texts = pd.factorize(column)
        place_of = {name: place for place, name in enumerate(self.categories)}
        places = np.array([*(place_of.get(text, -1) for text in texts), -1], dtype=np.int64)[codes]
        encoded = np.zeros((len(column), len(self.categories)))
        known = np.flatnonzero(places >= 0)
        encoded[known, places[known]] = 1.0
        return encoded


def fit_column(name: str, column: Column, standardize: bool) -> NumberColumn | CategoryColumn:
    """Fit the encoding of a column to its training rows: median, mean and deviation, or the categories that occur.

    Raises DataError for numbers that float32 cannot distinguish without standardization.
    """
    if column.dtype == object:
        return CategoryColumn(name, tuple(sorted({cell for cell in column if cell is not None})))
    present = column[~np.isnan(column)]
    fill = float(np.median(present)) if len(present) else 0.0
    if not standardize:
        _refuse_narrowing(name, present)
        return NumberColumn(name, fill, 0.0, 1.0)
    mean, std = (float(found) for found in mean_and_std(np.where(np.isnan(column), fill, column)))
    return NumberColumn(name, fill, mean, std or 1.0)


def encoded_columns(preprocessing: Mapping[str, Any]) -> tuple[NumberColumn | CategoryColumn, ...]:
    """The encodings recorded by `build_table`, in the order of the features; () if there are none."""
    found: list[NumberColumn | CategoryColumn] = []
    for column in preprocessing.get("columns", ()):
        if column["kind"] == "category":
            found.append(CategoryColumn(column["name"], tuple(column["categories"])))
        else:
            found.append(NumberColumn(*(column[key] for key in ("name", "fill", "mean", "std"))))
    return tuple(found)


def _refuse_narrowing(name: str, present: Column) -> None:
    """Raise DataError for numbers whose variation would be lost in float32."""
    if not len(present):
        return
    std, largest = float(mean_and_std(present)[1]), float(np.abs(present).max())
    limits = np.finfo(np.float32)
    if largest > float(limits.max) or 0 < std < max(float(limits.tiny), _MIN_STEPS * largest * float(limits.eps)):
        rule = f"numbers up to {largest:.6g} with a deviation of {std:.3g} exceed the precision of float32"
        raise DataError(rule, column=name, remedy="Set data.standardize=true", code="out-of-range")


def _encoded(fit: NumberColumn | CategoryColumn, column: Column) -> NDArray[np.float32]:
    """(N, features of the column) float32. Raises DataError for a row that overflows float32."""
    encoded = fit.encode(column)
    if np.abs(encoded).max(initial=0.0) > np.finfo(np.float32).max:
        rule = "a held-out row is too far from the training rows to be standardized"
        remedy = "Correct it, or drop the column with data.drop."
        raise DataError(rule, column=fit.name, remedy=remedy, code="out-of-range")
    return encoded.astype(np.float32)


def _blocks(fitted: Sequence[NumberColumn | CategoryColumn]) -> tuple[tuple[int, int], ...]:
    """(first feature, number of categories) of each categorical column, in the order of the features."""
    widths = [len(fit.categories) if isinstance(fit, CategoryColumn) else 1 for fit in fitted]
    firsts = accumulate(widths, initial=0)
    return tuple(
        (first, width)
        for fit, first, width in zip(fitted, firsts, widths, strict=False)
        if isinstance(fit, CategoryColumn) and width
    )


def build_table(
    columns: Mapping[str, Column],
    targets: NDArray[Any] | None,
    class_names: tuple[str, ...],
    target_names: tuple[str, ...],
    rows: tuple[NDArray[np.int64], ...],
    standardize: bool,
    notes: tuple[str, ...] = (),
) -> DataBundle:
    """Build a DataBundle from columns.

    Args:
        columns: Name -> cells (N,).
        targets: (N,) int64 class numbers, (N, O) float64 values, or None.
        class_names: Names of the classes, () for values.
        target_names: Names of the values.
        rows: Row numbers of train, val and test.
        standardize: Standardize numeric columns.
        notes: Messages to the user.

    Raises:
        DataError: A column cannot be standardized.
    """
    fitted = [fit_column(name, column[rows[0]], standardize) for name, column in columns.items()]
    features = _features(fitted, columns)
    kinds = [{"kind": "category" if isinstance(fit, CategoryColumn) else "number", **vars(fit)} for fit in fitted]
    learned: TargetSpec | None = ClassSpec(class_names) if class_names else None
    if targets is not None and not class_names:
        learned = ValueSpec(target_names, *target_unit(targets, rows[0], target_names))
    return DataBundle(
        spec=DataSpec(TableSpec(features.shape[1], _blocks(fitted)), learned),
        splits={
            name: Split.in_memory(
                torch.from_numpy(_rows(features, part)),
                None if targets is None else torch.from_numpy(targets[part]),
                torch.from_numpy(part),
            )
            for name, part in zip(("train", "val", "test"), rows, strict=True)
        },
        preprocess=Affine(torch.tensor(1.0), torch.tensor(0.0)),
        fingerprint=fingerprint_of(features, *(() if targets is None else (targets,))),
        preprocessing={"kind": "table", "columns": kinds},
        notes=(*notes, *_of_one_value(columns, rows[0])),
        missing=_missing(columns),
    )


def _features(fitted: Sequence[NumberColumn | CategoryColumn], columns: Mapping[str, Column]) -> NDArray[np.float32]:
    """(N, F), column by column in memory, so that no column is kept twice."""
    widths = [len(fit.categories) if isinstance(fit, CategoryColumn) else 1 for fit in fitted]
    features = np.empty((len(columns[fitted[0].name]), sum(widths)), dtype=np.float32, order="F")
    for fit, first, width in zip(fitted, accumulate(widths, initial=0), widths, strict=False):
        features[:, first : first + width] = _encoded(fit, columns[fit.name])
    return features


def _rows(features: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Some rows (N, F), row by row in memory."""
    found = np.empty((len(rows), features.shape[1]), dtype=np.float32)
    for first in range(0, len(rows), _AT_A_TIME):
        found[first : first + _AT_A_TIME] = features[rows[first : first + _AT_A_TIME]]
    return found


def _of_one_value(columns: Mapping[str, Column], rows: NDArray[np.int64]) -> list[str]:
    """Messages about columns whose numbers differ only by rounding."""
    found = []
    for name, column in columns.items():
        present = column[rows] if column.dtype != object else column[:0]
        present = present[~np.isnan(present)] if len(present) else present
        if len(present) and present.min() < present.max() and not mean_and_std(present)[1]:
            found.append(f"column {name!r}: the training values differ only by rounding and are treated as equal")
    return found


def _missing(columns: Mapping[str, Column]) -> dict[str, tuple[int, tuple[int, ...]]]:
    """(number of missing cells, first ten rows with one) for each column with missing cells."""
    found = {}
    for name, column in columns.items():
        rows = np.flatnonzero(column == None if column.dtype == object else np.isnan(column))  # noqa: E711 - each cell
        if len(rows):
            found[name] = (len(rows), tuple(rows[:10].tolist()))
    return found
