"""Columns of cells, as a file has them -> a table to train on; every refusal names file, line and column.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.splitting import split_rows
from dlexp.data.tables.encoding import Column, build_table
from dlexp.data.tables.index_columns import index_columns, keeping
from dlexp.data.tables.labels import Labels, Refusal, labels_of
from dlexp.data.tables.mixed_column import refuse_numbers, special_in
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import Marks, number_in
from dlexp.data.targets import constant_reason
from dlexp.errors import Code, DataError
from dlexp.findings import dropping
from dlexp.runtime.rounding import LARGEST
from dlexp.text.quoting import listed, setting

_MAX_CLASSES_OF_NUMBERS = 20  # whole numbers with no more distinct values than this are taken for classes
_NAMED = 30  # columns that a refusal lists

ONE_VALUE = "holds one value only"


@dataclass(frozen=True)
class Cells:
    """The columns of a file, and where each row is in it.

    raw    name -> the column as the file holds it, of those that are read
    lines  (N,) the number that an error gives a row, counted in `unit`
    names  all columns of the file
    marks  texts that mean "no value"
    index  columns that the file itself calls its index
    """

    file: Path
    raw: Mapping[str, RawColumn]
    lines: NDArray[np.int64]
    names: tuple[str, ...]
    marks: Marks
    unit: str = "line"
    index: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> dict[str, NDArray[Any]]:
        """name -> (N,) str objects, None for a missing cell; or (N,) float64, NaN for a missing one."""
        return {name: column.cells() for name, column in self.raw.items()}

    def refusal(
        self, message: str, column: str, row: int | None = None, remedy: str = "", code: Code | None = None
    ) -> DataError:
        """The error for a column, or for its cell in row number `row`."""
        line = None if row is None else int(self.lines[row])
        return DataError(message, file=self.file, column=column, row=line, remedy=remedy, unit=self.unit, code=code)

    def check_names(self, names: Sequence[str], key: str) -> None:
        """Raise DataError for a column that is not there, which `key` names."""
        check_names(self.file, self.names, names, key)

    def labels_of(self, name: str) -> Labels:
        """A column as labels. Raises DataError for one value in two spellings that may be two labels."""

        return labels_of(self.raw[name].present, partial(self.refusal, column=name))

    def kind_of(self, name: str) -> str:
        """`class` or `value`, as the column looks. Raises DataError for numbers among which are texts."""
        return kind_of(self.raw[name], partial(self.refusal, column=name))


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
    notes: list[str] = []
    if kind == "value":
        targets, classes = _values(cells, target)
    else:
        targets, classes = _classes(cells, target, notes)
    columns: dict[str, Column] = {}
    as_category = set(wanted.categorical)
    omitted = index_columns(cells.columns, {target, *wanted.drop, *wanted.categorical, *wanted.keep}, cells.index)
    notes += [
        f"column {name!r} {why} and was left out; set {keeping(name)} to read it" for name, why in omitted.items()
    ]
    dropped = {target, *wanted.drop, *omitted}
    for name in cells.columns:
        if name in dropped:
            continue
        encoded = _column(cells, name, name in as_category, wanted.max_categories, notes)
        if _distinct(encoded) > 1:
            columns[name] = encoded
            continue
        omitted[name] = ONE_VALUE
        if encoded.dtype != object and len(cells.labels_of(name).names) > 1:
            omitted[name] = "holds numbers too large to differ as float64"
            notes.append(
                f"column {name!r} was left out: its numbers are too large to differ as float64; "
                f"{setting('data.categorical', [name])} reads them as categories"
            )
        else:
            notes.append(f"column {name!r} holds one value only and was left out")
    if not columns:
        index = next((name for name, why in omitted.items() if why != ONE_VALUE), None)
        remedy = "" if index is None else f"column {index!r} {omitted[index]}; set {keeping(index)} to read it"
        raise DataError("no column is left to learn from", file=file, remedy=remedy)
    notes += [f"data.missing_values: no cell is {word!r}" for word in cells.marks.unmatched()]
    try:
        rows = split_rows(len(targets), wanted.split, targets, classes)
    except DataError as error:
        raise DataError(str(error), file=file, column=target, code=error.code) from error
    try:
        bundle = build_table(columns, targets, classes, (target,), rows, wanted.standardize, tuple(notes))
        # What a file of new rows may hold beside the columns that are read.
        unread = [name for name in cells.names if name not in columns]
        # The lines alone: a bundle lives as long as the run, and the cells as read are large.
        named = partial(_named, cells.unit, cells.lines)
        preprocessing = {**bundle.preprocessing, "unread": unread}
        return replace(bundle, preprocessing=preprocessing, named=named, target=target, omitted=omitted)
    except DataError as error:
        raise DataError(str(error), file=file, code=error.code) from error


def _named(unit: str, lines: NDArray[np.int64], rows: NDArray[np.int64]) -> list[str]:
    return [f"{unit} {line}" for line in lines[rows]]


def kind_of(target: RawColumn, refusal: Refusal) -> str:
    """`class` or `value`, as the cells of a target look: texts and few whole numbers are classes.

    Raises the error of `refusal` for a column of numbers some of which are texts.
    """
    column = target.cells()
    if column.dtype == object:
        refuse_numbers(target, refusal, "data.target_kind=class")
        return "class"
    finite = column[np.isfinite(column)]
    if (finite != np.floor(finite)).any():
        return "value"
    return "class" if len(np.unique(finite)) <= _MAX_CLASSES_OF_NUMBERS else "value"


def check_names(file: Path, there: Sequence[str], names: Sequence[str], key: str) -> None:
    """Raise DataError for a column that a file has not, which `key` names."""
    known = set(there)
    for place, name in enumerate(names):
        if name not in known:
            near = get_close_matches(name, there, n=1, cutoff=0.5)
            more = f", ... ({len(there):,} in all)" if len(there) > _NAMED else ""
            remedy = f"it has {listed(there[:_NAMED])}{more}"
            if near:
                meant = near[0] if key == "data.target" else [*names[:place], near[0], *names[place + 1 :]]
                remedy = f"did you mean {setting(key, meant)}?"
            raise DataError(f"has no column {name!r} ({key})", file=file, remedy=remedy, code="not-found")


def _distinct(column: NDArray[Any]) -> int:
    """Different values in a column, the missing ones left out; 2 for two or more numbers."""
    if column.dtype == object:
        return len({cell for cell in column if cell is not None})
    if np.isnan(column).all():
        return 0
    return 1 if np.nanmin(column) == np.nanmax(column) else 2


def _values(cells: Cells, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """((N, 1) values, ())."""
    column = cells.columns[name]
    _refuse_missing(cells, name)
    if column.dtype == object:
        row = int(np.argmax(cells.raw[name].numbers[1]))
        remedy = f"correct the cell{special_in(column[row])}, or set data.target_kind=class"
        raise cells.refusal(f"the target {column[row]!r} is no finite number", name, row, remedy)
    _refuse_too_large(cells, name)
    values = column.astype(np.float64)[:, None]
    if reason := constant_reason(values, f"every row has the target {cells.raw[name].cell(0)}"):
        raise DataError(reason, file=cells.file, column=name)
    return values, ()


def _classes(cells: Cells, name: str, notes: list[str]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """((N,) class numbers, class names); adds to `notes` what a person should know of them."""
    _refuse_missing(cells, name)
    labels = cells.labels_of(name)
    notes += labels.note(name)
    order = sorted(range(len(labels.names)), key=lambda number: _in_order(labels.names[number]))
    classes = tuple(labels.names[number] for number in order)
    if len(classes) == 1:
        raise cells.refusal(f"holds one class only, {classes[0]!r}", name, remedy="name another data.target")
    if len(classes) > len(labels.codes) // 2:
        rule = f"holds {len(classes)} different classes in {len(labels.codes)} rows"
        raise cells.refusal(rule, name, remedy="name another data.target, or set data.target_kind=value")
    return np.argsort(order)[labels.codes].astype(np.int64), classes


def _in_order(label: str) -> tuple[bool, float, str]:
    number = number_in(label)
    return number is None, number or 0.0, label


def _refuse_missing(cells: Cells, name: str) -> None:
    column = cells.columns[name]
    missing = np.flatnonzero(column == None if column.dtype == object else np.isnan(column))  # noqa: E711 - each cell
    if len(missing):
        row = int(missing[0])
        word = cells.raw[name].cell(row)
        remedy = f"fill in the cell or delete the {cells.unit}"
        if not word or word == "nan":
            raise cells.refusal("the target is missing", name, row, remedy)
        rule = f"the target is missing: {word!r} is among data.missing_values"
        others = [mark for mark in cells.marks.words if not Marks([mark]).matches(word, number_in(word))]
        keep = setting("data.missing_values", others)
        raise cells.refusal(rule, name, row, f"{remedy}, or keep {word!r} as a value with {keep}")


def _refuse_too_large(cells: Cells, name: str) -> None:
    """Raise DataError for a number whose mean or deviation would not be finite."""
    column = cells.columns[name]
    numbers = np.array([number_in(cell) or 0.0 for cell in column]) if column.dtype == object else column
    large = np.flatnonzero(np.abs(numbers) > LARGEST)
    if len(large):
        remedy = f"correct it, or give the column in another unit (at most {LARGEST:g})"
        raise cells.refusal(f"the number {column[large[0]]} is too large", name, int(large[0]), remedy)


def _column(cells: Cells, name: str, as_category: bool, max_categories: int, notes: list[str]) -> Column:
    """(N,) float64 with NaN where a number is missing, or (N,) objects for a category. Raises DataError."""
    column = cells.columns[name]
    if not as_category and column.dtype != object:
        _refuse_too_large(cells, name)
        return column
    if not as_category:
        remedy = setting("data.categorical", [name])
        notes += refuse_numbers(cells.raw[name], partial(cells.refusal, column=name), remedy, name)
    labels = cells.labels_of(name)
    notes += labels.note(name)
    if len(labels.names) > max_categories:
        rule = f"holds {len(labels.names)} different texts, more than data.max_categories={max_categories}"
        remedy = f"leave it out with {dropping([name], [])}"
        raise cells.refusal(rule, name, remedy=remedy, code="too-large")
    return labels.column()
