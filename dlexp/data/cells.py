"""Columns of cells, as a file has them -> a table to train on; every refusal names file, line and column.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.index_columns import index_columns, keeping
from dlexp.data.split import split_rows
from dlexp.data.tables import Column, build_table
from dlexp.errors import DataError

_MAX_CLASSES_OF_NUMBERS = 20  # whole numbers with no more distinct values than this are taken for classes
_MOSTLY_NUMBERS = 0.9  # a column with this share of numbers is one of numbers, and its other cells are mistakes

ONE_VALUE = "holds one value only"

_LARGEST = float(np.finfo(np.float32).max)  # the numbers of a network


@dataclass(frozen=True)
class Cells:
    """The columns of a file, and where each row is in it.

    columns  name -> (N,) str objects, None for a missing cell; or (N,) float64, NaN for a missing one
    lines    (N,) the number that an error gives a row, counted in `unit`
    index    columns that the file itself calls its index
    """

    file: Path
    columns: dict[str, NDArray[Any]]
    lines: NDArray[np.int64]
    unit: str = "line"
    index: tuple[str, ...] = ()

    def refusal(self, message: str, column: str, row: int | None = None, remedy: str = "") -> DataError:
        """The error for a column, or for its cell in row number `row`."""
        line = None if row is None else int(self.lines[row])
        return DataError(message, file=self.file, column=column, row=line, remedy=remedy, unit=self.unit)

    def check_names(self, names: Sequence[str], key: str) -> None:
        """Raise DataError for a column that is not there, which `key` names."""
        for name in names:
            if name not in self.columns:
                near = get_close_matches(name, self.columns, n=1, cutoff=0.5)
                remedy = f"did you mean {key}={near[0]}?" if near else f"it has {', '.join(self.columns)}"
                raise DataError(f"has no column {name!r} ({key})", file=self.file, remedy=remedy)

    def kind_of(self, name: str) -> str:
        """`class` or `value`, as the column looks: texts and few whole numbers are classes."""
        column = self.columns[name]
        if column.dtype == object:
            numbers = [number_in(cell) for cell in column if cell is not None]
            if any(number is None for number in numbers):
                return "class"
            distinct = {number for number in numbers if number is not None}
        else:
            distinct = set(np.unique(column[~np.isnan(column)]).tolist())
        whole = all(number == int(number) for number in distinct if np.isfinite(number))
        return "class" if whole and len(distinct) <= _MAX_CLASSES_OF_NUMBERS else "value"


@dataclass(frozen=True)
class Wanted:
    """What is to be learnt from which columns; the keys of data.* of the same names."""

    target: str
    target_kind: str
    categorical: Sequence[str]
    drop: Sequence[str]
    max_categories: int
    standardize: bool
    split: tuple[float, float, int]
    keep: Sequence[str] = ()


def table_of(cells: Cells, wanted: Wanted) -> DataBundle:
    """The table, ready to train on.

    A missing number becomes the median of the training rows, a missing category none of the categories. Numbers are
    standardised and categories encoded one feature each, both as measured on the training rows.
    Raises DataError for everything that cannot be trained on.
    """
    target, file = wanted.target, cells.file
    cells.check_names([target], "data.target")
    cells.check_names(wanted.drop, "data.drop")
    cells.check_names(wanted.categorical, "data.categorical")
    cells.check_names(wanted.keep, "data.keep")
    kind = cells.kind_of(target) if wanted.target_kind == "auto" else wanted.target_kind
    targets, classes = _values(cells, target) if kind == "value" else _classes(cells, target)
    columns: dict[str, Column] = {}
    omitted = index_columns(cells.columns, {target, *wanted.drop, *wanted.categorical, *wanted.keep}, cells.index)
    notes = [f"column {name!r} {why} and was left out; set {keeping(name)} to read it" for name, why in omitted.items()]
    for name in cells.columns:
        if name == target or name in wanted.drop or name in omitted:
            continue
        encoded = _column(cells, name, name in wanted.categorical, wanted.max_categories)
        if _distinct(cells.columns[name]) <= 1:
            notes.append(f"column {name!r} holds one value only and was left out")
            omitted[name] = ONE_VALUE
        else:
            columns[name] = encoded
    if not columns:
        index = next((name for name, why in omitted.items() if why != ONE_VALUE), None)
        remedy = "" if index is None else f"column {index!r} {omitted[index]}; set {keeping(index)} to read it"
        raise DataError("no column is left to learn from", file=file, remedy=remedy)
    try:
        rows = split_rows(targets, classes, *wanted.split)
    except DataError as error:
        raise DataError(str(error), file=file, column=target) from error
    try:
        bundle = build_table(columns, targets, classes, (target,), rows, wanted.standardize, tuple(notes))
        # What a file of new rows may hold beside the columns that are read.
        unread = [name for name in cells.columns if name not in columns]
        # The lines alone: a bundle lives as long as the run, and the cells as read are large.
        named = partial(_named, cells.unit, cells.lines)
        preprocessing = {**bundle.preprocessing, "unread": unread}
        return replace(bundle, preprocessing=preprocessing, named=named, target=target, omitted=omitted)
    except DataError as error:
        raise DataError(str(error), file=file) from error


def _named(unit: str, lines: NDArray[np.int64], rows: NDArray[np.int64]) -> list[str]:
    return [f"{unit} {line}" for line in lines[rows]]


def number_in(cell: str | None) -> float | None:
    """The number in a cell; None for text and for the words that Python, and no table, reads as numbers."""
    if cell is None or "_" in cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _distinct(column: NDArray[Any]) -> int:
    """Different values in a column, the missing ones left out."""
    if column.dtype == object:
        return len({cell for cell in column if cell is not None})
    return len(np.unique(column[~np.isnan(column)]))


def _texts(column: NDArray[Any]) -> NDArray[Any]:
    """(N,) str objects, None for a missing cell; a whole number is written without a point."""
    if column.dtype == object:
        return column
    return np.array(
        [
            None if np.isnan(v) else str(int(v)) if np.isfinite(v) and v == np.floor(v) else repr(float(v))
            for v in column
        ],
        object,
    )


def _values(cells: Cells, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """((N, 1) values, ())."""
    column = cells.columns[name]
    _refuse_missing(cells, name)
    if column.dtype == object:
        for row, cell in enumerate(column):
            if number_in(cell) is None:
                remedy = "correct the cell, or set data.target_kind=class"
                raise cells.refusal(f"the target {cell!r} is no finite number", name, row, remedy)
    _refuse_too_large(cells, name)
    values = column.astype(np.float64).astype(np.float32)[:, None]
    if len(np.unique(values)) == 1:
        raise DataError(f"every row has the target {column[0]}", file=cells.file, column=name)
    return values, ()


def _classes(cells: Cells, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """((N,) class numbers, class names)."""
    _refuse_missing(cells, name)
    column = _texts(cells.columns[name])
    classes = tuple(sorted(set(column), key=lambda cell: (number_in(cell) is None, number_in(cell) or 0.0, cell)))
    if len(classes) == 1:
        raise cells.refusal(f"holds one class only, {classes[0]!r}", name, remedy="name another data.target")
    if len(classes) > len(column) // 2:
        rule = f"holds {len(classes)} different classes in {len(column)} rows"
        raise cells.refusal(rule, name, remedy="name another data.target, or set data.target_kind=value")
    numbers = {label: number for number, label in enumerate(classes)}
    return np.array([numbers[cell] for cell in column], dtype=np.int64), classes


def _refuse_missing(cells: Cells, name: str) -> None:
    column = cells.columns[name]
    missing = np.flatnonzero(column == None if column.dtype == object else np.isnan(column))  # noqa: E711 - each cell
    if len(missing):
        remedy = f"fill in the cell or delete the {cells.unit}"
        raise cells.refusal("the target is missing", name, int(missing[0]), remedy)


def _refuse_too_large(cells: Cells, name: str) -> None:
    """Raise DataError for a number that would be infinite to a network."""
    column = cells.columns[name]
    numbers = np.array([number_in(cell) or 0.0 for cell in column]) if column.dtype == object else column
    large = np.flatnonzero(np.abs(numbers) > _LARGEST)
    if len(large):
        remedy = f"correct it, or give the column in another unit (at most {_LARGEST:.1e})"
        raise cells.refusal(f"the number {column[large[0]]} is too large", name, int(large[0]), remedy)


def _column(cells: Cells, name: str, as_category: bool, max_categories: int) -> Column:
    """(N,) float64 with NaN where a number is missing, or (N,) objects for a category. Raises DataError."""
    column = _texts(cells.columns[name]) if as_category else cells.columns[name]
    if column.dtype != object:
        _refuse_too_large(cells, name)
        return column
    present = [(cell, row) for row, cell in enumerate(column) if cell is not None]
    wrong = [(cell, row) for cell, row in present if number_in(cell) is None]
    if not as_category and not wrong:
        _refuse_too_large(cells, name)
        return np.array([np.nan if cell is None else float(cell) for cell in column], dtype=np.float64)
    if not as_category and len(wrong) <= (1 - _MOSTLY_NUMBERS) * len(present):
        cell, row = wrong[0]
        more = f" and {len(wrong) - 1} more like it" if len(wrong) > 1 else ""
        remedy = f"correct it, or add it to data.missing_values, or set 'data.categorical=[{name}]'"
        raise cells.refusal(f"{cell!r}{more} stands among numbers", name, row, remedy)
    distinct = len({cell for cell, _ in present})
    if distinct > max_categories:
        rule = f"holds {distinct} different texts, more than data.max_categories={max_categories}"
        raise cells.refusal(rule, name, remedy=f"leave it out with 'data.drop=[{name}]'")
    return column
