"""Raw tables, as read from files, and their conversion to a DataBundle; errors name file, line and column.

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

_MAX_CLASSES_OF_NUMBERS = 20  # distinct whole numbers up to which a target is read as classes
_NAMED = 30  # columns listed in an error

ONE_VALUE = "has a single value"


@dataclass(frozen=True)
class RawTable:
    """The columns of a file, and the position of each row in it.

    raw    name -> column, for the columns that are read
    lines  (N,) the number of each row in error messages, counted in `unit`
    names  all columns of the file
    marks  texts that mean "no value"
    index  columns that the file declares as its index
    notes  messages to the user about how it was read
    """

    file: Path
    raw: Mapping[str, RawColumn]
    lines: NDArray[np.int64]
    names: tuple[str, ...]
    marks: Marks
    unit: str = "line"
    index: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Name -> (N,) str objects, None for a missing cell; or (N,) float64, NaN for a missing one."""
        return {name: column.cells() for name, column in self.raw.items()}

    def refusal(
        self, message: str, column: str, row: int | None = None, remedy: str = "", code: Code | None = None
    ) -> DataError:
        """The error for a column, or for its cell in row number `row`."""
        line = None if row is None else int(self.lines[row])
        return DataError(message, file=self.file, column=column, row=line, remedy=remedy, unit=self.unit, code=code)

    def check_names(self, names: Sequence[str], key: str) -> None:
        """Raise DataError for a missing column that `key` names."""
        check_names(self.file, self.names, names, key)

    def labels_of(self, name: str) -> Labels:
        """A column as labels. Raises DataError for two spellings of one value that may be two labels."""
        return labels_of(self.raw[name].present, partial(self.refusal, column=name))

    def kind_of(self, name: str) -> str:
        """`class` or `value`, derived from the cells. Raises DataError for numbers mixed with texts."""
        return column_target_kind(self.raw[name], partial(self.refusal, column=name))


@dataclass(frozen=True)
class TableOptions:
    """Target, columns and split; the keys of data.* of the same names."""

    target: str
    target_kind: str
    categorical: Sequence[str]
    drop: Sequence[str]
    max_categories: int
    standardize: bool
    split: tuple[float, float, int]
    keep: Sequence[str] = ()

    @property
    def unread(self) -> list[str]:
        """The columns that need not be read: the dropped ones but the target."""
        return [name for name in self.drop if name != self.target]


def table_of(table: RawTable, options: TableOptions) -> DataBundle:
    """The bundle of a raw table.

    A missing number becomes the median of the training rows, a missing category is encoded as zeros. Numbers are
    standardized and categories one-hot encoded, with statistics of the training rows.
    Raises DataError for invalid data.
    """
    target, file = options.target, table.file
    table.check_names([target], "data.target")
    table.check_names(options.drop, "data.drop")
    table.check_names(options.categorical, "data.categorical")
    table.check_names(options.keep, "data.keep")
    kind = table.kind_of(target) if options.target_kind == "auto" else options.target_kind
    notes = [*table.notes]
    if kind == "value":
        targets, classes = _values(table, target)
    else:
        targets, classes = _classes(table, target, notes)
    columns: dict[str, Column] = {}
    as_category = set(options.categorical)
    omitted = index_columns(table.columns, {target, *options.drop, *options.categorical, *options.keep}, table.index)
    notes += [
        f"column {name!r} {why} and was dropped. To keep it, set {keeping(name)}" for name, why in omitted.items()
    ]
    dropped = {target, *options.drop, *omitted}
    for name in table.columns:
        if name in dropped:
            continue
        encoded = _column(table, name, name in as_category, options.max_categories, notes)
        if _distinct(encoded) > 1:
            columns[name] = encoded
            continue
        omitted[name] = ONE_VALUE
        if encoded.dtype != object and len(table.labels_of(name).names) > 1:
            omitted[name] = "has numbers too large to differ as float64"
            notes.append(
                f"column {name!r} was dropped: its numbers are too large to differ as float64. "
                f"To read them as categories, set {setting('data.categorical', [name])}"
            )
        else:
            notes.append(f"column {name!r} has a single value and was dropped")
    if not columns:
        index = next((name for name, why in omitted.items() if why != ONE_VALUE), None)
        remedy = "" if index is None else f"Column {index!r} {omitted[index]}. To keep it, set {keeping(index)}"
        raise DataError("no column to train on", file=file, remedy=remedy)
    notes += [f"data.missing_values: {word!r} not found in any cell" for word in table.marks.unmatched()]
    rows = _split(table, options, targets, classes)
    try:
        bundle = build_table(columns, targets, classes, (target,), rows, options.standardize, tuple(notes))
        # Columns that a file for prediction may have in addition.
        unread = [name for name in table.names if name not in columns]
        # Only the lines: the bundle lives as long as the run, and the raw table is large.
        named = partial(_named, table.unit, table.lines)
        preprocessing = {**bundle.preprocessing, "unread": unread}
        return replace(bundle, preprocessing=preprocessing, named=named, target=target, omitted=omitted)
    except DataError as error:
        raise DataError(str(error), file=file, code=error.code) from error


def _split(
    table: RawTable, options: TableOptions, targets: NDArray[Any], classes: tuple[str, ...]
) -> tuple[NDArray[np.int64], ...]:
    """Rows of train, val and test. Raises DataError for too few rows, also of one class."""
    try:
        return split_rows(len(targets), options.split, targets, classes)
    except DataError as error:
        remedy = ""
        if classes and all(number_in(name) is not None for name in classes):
            remedy = f"If the column holds quantities, set {setting('data.target_kind', 'value')}"
        raise DataError(str(error), file=table.file, column=options.target, remedy=remedy, code=error.code) from error


def _named(unit: str, lines: NDArray[np.int64], rows: NDArray[np.int64]) -> list[str]:
    return [f"{unit} {line}" for line in lines[rows]]


def column_target_kind(target: RawColumn, refusal: Refusal) -> str:
    """`class` or `value`, derived from the cells of a target: texts and few distinct whole numbers are classes.

    Raises the error of `refusal` for a column of numbers mixed with texts.
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
    """Raise DataError for a column of `names`, which `key` gives, that is not among `there`."""
    known = set(there)
    for place, name in enumerate(names):
        if name not in known:
            near = get_close_matches(name, there, n=1, cutoff=0.5)
            more = f", ... ({len(there):,} in all)" if len(there) > _NAMED else ""
            remedy = f"Available: {listed(there[:_NAMED])}{more}"
            if near:
                meant = near[0] if key == "data.target" else [*names[:place], near[0], *names[place + 1 :]]
                remedy = f"Did you mean {setting(key, meant)}?"
            raise DataError(f"column {name!r} ({key}) not found", file=file, remedy=remedy, code="not-found")


def _distinct(column: NDArray[Any]) -> int:
    """The number of distinct values in a column, without missing ones; 2 for two or more numbers."""
    if column.dtype == object:
        return len({cell for cell in column if cell is not None})
    if np.isnan(column).all():
        return 0
    return 1 if np.nanmin(column) == np.nanmax(column) else 2


def _values(table: RawTable, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """((N, 1) values, ())."""
    column = table.columns[name]
    _refuse_missing(table, name)
    if column.dtype == object:
        row = int(np.argmax(table.raw[name].numbers[1]))
        remedy = f"Correct the cell{special_in(column[row])}, or set data.target_kind=class"
        raise table.refusal(f"the target must be a finite number, got {column[row]!r}", name, row, remedy)
    _refuse_too_large(table, name)
    values = column.astype(np.float64)[:, None]
    if reason := constant_reason(values, f"all rows have the target {table.raw[name].cell(0)}"):
        raise DataError(reason, file=table.file, column=name)
    return values, ()


def _classes(table: RawTable, name: str, notes: list[str]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """((N,) class numbers, class names); adds messages to the user to `notes`."""
    _refuse_missing(table, name)
    labels = table.labels_of(name)
    notes += labels.note(name)
    order = sorted(range(len(labels.names)), key=lambda number: _in_order(labels.names[number]))
    classes = tuple(labels.names[number] for number in order)
    if len(classes) == 1:
        raise table.refusal(
            f"must have two or more classes, got only {classes[0]!r}", name, remedy="Set another data.target"
        )
    if len(classes) > len(labels.codes) // 2:
        rule = f"has {len(classes)} different classes in {len(labels.codes)} rows"
        raise table.refusal(rule, name, remedy="Set another data.target, or set data.target_kind=value")
    return np.argsort(order)[labels.codes].astype(np.int64), classes


def _in_order(label: str) -> tuple[bool, float, str]:
    number = number_in(label)
    return number is None, number or 0.0, label


def _refuse_missing(table: RawTable, name: str) -> None:
    column = table.columns[name]
    missing = np.flatnonzero(column == None if column.dtype == object else np.isnan(column))  # noqa: E711 - each cell
    if len(missing):
        row = int(missing[0])
        word = table.raw[name].cell(row)
        remedy = f"Fill in the cell or delete the {table.unit}"
        if not word or word == "nan":
            raise table.refusal("the target is missing", name, row, f"{remedy}.")
        rule = f"the target is missing: {word!r} is one of data.missing_values"
        others = [mark for mark in table.marks.words if not Marks([mark]).matches(word, number_in(word))]
        keep = setting("data.missing_values", others)
        raise table.refusal(rule, name, row, f"{remedy}. To read {word!r} as a value, set {keep}")


def _refuse_too_large(table: RawTable, name: str) -> None:
    """Raise DataError for a number too large for a finite mean and deviation."""
    column = table.columns[name]
    numbers = np.array([number_in(cell) or 0.0 for cell in column]) if column.dtype == object else column
    large = np.flatnonzero(np.abs(numbers) > LARGEST)
    if len(large):
        remedy = f"Correct it, or use another unit (at most {LARGEST:g})."
        raise table.refusal(f"the number {column[large[0]]} is too large", name, int(large[0]), remedy)


def _column(table: RawTable, name: str, as_category: bool, max_categories: int, notes: list[str]) -> Column:
    """(N,) float64 with NaN where a number is missing, or (N,) objects for a category. Raises DataError."""
    column = table.columns[name]
    if not as_category and column.dtype != object:
        _refuse_too_large(table, name)
        return column
    if not as_category:
        remedy = setting("data.categorical", [name])
        notes += refuse_numbers(table.raw[name], partial(table.refusal, column=name), remedy, name)
    labels = table.labels_of(name)
    notes += labels.note(name)
    if len(labels.names) > max_categories:
        rule = f"has {len(labels.names)} different texts, more than data.max_categories={max_categories}"
        remedy = f"Drop the column: {dropping([name], [])}"
        raise table.refusal(rule, name, remedy=remedy, code="too-large")
    return labels.column()
