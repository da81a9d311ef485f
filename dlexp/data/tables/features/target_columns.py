"""Targets of a table: classes of one column, or values of one or more.

Symbols: N rows, O targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.features.kinds import is_date_column
from dlexp.data.tables.features.problems import ColumnProblem
from dlexp.data.tables.labels import Labels, Refusal
from dlexp.data.tables.mixed_column import numeric_problem, special_in
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import Marks, number_in
from dlexp.data.targets import constant_reason
from dlexp.errors import Code, DataError
from dlexp.runtime.rounding import LARGEST
from dlexp.text.quoting import setting

_EQUAL = "all rows have the same target"
_NAMED = 5  # rows listed in an error
_MAX_CLASSES_OF_NUMBERS = 20  # distinct whole numbers up to which a target is read as classes


class TargetTable(Protocol):
    """The columns of a file; see `RawTable`."""

    @property
    def file(self) -> Any:
        """The path of the file."""

    @property
    def raw(self) -> dict[str, RawColumn]:
        """Name -> column."""

    @property
    def marks(self) -> Marks:
        """Texts that mean "no value"."""

    @property
    def lines(self) -> NDArray[np.int64]:
        """(N,) the number of each row in error messages."""

    @property
    def unit(self) -> str:
        """What is counted in error messages."""

    def refusal(
        self, message: str, column: str, row: int | None = None, remedy: str = "", code: Code | None = None
    ) -> DataError:
        """The error for a column or a cell."""

    def labels_of(self, name: str) -> Labels:
        """A column as labels."""


def targets_of(
    table: TargetTable, names: Sequence[str], kind: str, problems: list[ColumnProblem], notes: list[str]
) -> tuple[NDArray[Any] | None, tuple[str, ...]] | None:
    """((N,) class numbers, class names), or ((N, O) float64 values, ()); None after a problem; (None, ()) for no names.

    Args:
        table: The columns.
        names: Those that are learned.
        kind: data.target_kind.
        problems: Problems of columns, to which those of the targets are added.
        notes: Messages to the user, to which those of the targets are added.
    """
    if not names:
        return None, ()
    if any(name not in table.raw for name in names):
        return None  # among the problems already
    try:
        known = {name: (table.raw[name], partial(table.refusal, column=name)) for name in names}
        kind = targets_kind(known, table.file) if kind == "auto" else kind
        if kind == "class":
            refuse_several(names, table.file)
            return _classes(table, names[0], notes)
    except DataError as error:
        problems.append(ColumnProblem(error, names[0]))
        return None
    found = []
    for name in names:
        try:
            found.append(_values(table, name))
        except DataError as error:
            problems.append(ColumnProblem(error, name))
    return (np.concatenate(found, axis=1), ()) if len(found) == len(names) else None


def targets_kind(columns: Mapping[str, tuple[RawColumn, Refusal]], file: Any) -> str:
    """`class` or `value`, derived from the cells of the targets.

    columns  name -> (cells, what makes the error for a cell)
    Several columns of numbers are values if one of them is. Raises DataError for several classes, for numbers mixed
    with texts, and for dates.
    """
    kinds = {name: column_target_kind(column, refusal) for name, (column, refusal) in columns.items()}
    if len(kinds) > 1 and "class" in kinds.values():
        is_number = [columns[name][0].cells().dtype != object for name in kinds]
        if "value" not in kinds.values() or not all(is_number):
            refuse_several(list(kinds), file, all(is_number))
        return "value"
    return next(iter(kinds.values()))


def refuse_several(names: Sequence[str], file: Any, are_numbers: bool = False) -> None:
    """Raise DataError for several targets, which cannot be classes."""
    if len(names) > 1:
        named = ", ".join(map(repr, names))
        remedy = f"Train one run for each: {setting('data.target', names[0])}"
        if are_numbers:
            remedy += ", or read them as values: data.target_kind=value"
        rule = f"several targets must be values, but {named} are classes"
        raise DataError(rule, file=file, remedy=remedy, code="not-supported")


def names_of(target: str | Sequence[str] | None) -> list[str]:
    """The names of the targets in data.target, each once; [] for none."""
    if target is None:
        return []
    return [target] if isinstance(target, str) else list(dict.fromkeys(target))


def column_target_kind(target: RawColumn, refusal: Refusal) -> str:
    """`class` or `value`, derived from the cells of a target: texts and few distinct whole numbers are classes.

    Raises the error of `refusal` for a column of numbers mixed with texts.
    """
    column = target.cells()
    if column.dtype == object:
        error = numeric_problem(target, refusal, "set data.target_kind=class")
        if error is not None:
            raise error
        if is_date_column(target):
            rule = f"dates cannot be predicted, such as {next(cell for cell in column if cell is not None)!r}"
            remedy = "Set another data.target, or set data.target_kind=class"
            raise refusal(rule, row=None, remedy=remedy)
        return "class"
    finite = column[np.isfinite(column)]
    if (finite != np.floor(finite)).any():
        return "value"
    return "class" if len(np.unique(finite)) <= _MAX_CLASSES_OF_NUMBERS else "value"


def _values(table: TargetTable, name: str) -> NDArray[np.float64]:
    """(N, 1) values."""
    column = table.raw[name].cells()
    _refuse_missing(table, name)
    if column.dtype == object:
        row = int(np.argmax(table.raw[name].numbers[1]))
        remedy = f"Correct the cell{special_in(column[row])}, or set data.target_kind=class"
        raise table.refusal(f"the target must be a finite number, got {column[row]!r}", name, row, remedy)
    _refuse_too_large(table, name)
    values = column.astype(np.float64)[:, None]
    if reason := constant_reason(values, _EQUAL):
        if reason == _EQUAL:  # the cell is read only here: that spells a whole column
            reason = f"all rows have the target {table.raw[name].cell(0)}"
        raise DataError(reason, file=table.file, column=name)
    return values


def _classes(table: TargetTable, name: str, notes: list[str]) -> tuple[NDArray[Any], tuple[str, ...]]:
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
        values = ", or set data.target_kind=value" if not any(_in_order(label)[0] for label in classes) else ""
        raise table.refusal(rule, name, remedy=f"Set another data.target{values}")
    notes += _differing_by_case(name, classes)
    return np.argsort(order)[labels.codes].astype(np.int64), classes


def _differing_by_case(name: str, classes: Sequence[str]) -> list[str]:
    """A message about classes that differ only in upper and lower case; [] if none do."""
    seen: dict[str, str] = {}
    pairs = [(first, label) for label in classes if (first := seen.setdefault(label.casefold(), label)) != label]
    if not pairs:
        return []
    more = f" (and {len(pairs) - 1} more)" if len(pairs) > 1 else ""
    one, other = pairs[0]
    what = f"column {name!r}: the classes {one!r} and {other!r}{more} differ only in upper and lower case"
    return [f"{what}. If they are one class, spell them alike in the file"]


def _in_order(label: str) -> tuple[bool, float, str]:
    number = number_in(label)
    return number is None, number or 0.0, label


def _refuse_missing(table: TargetTable, name: str) -> None:
    column = table.raw[name].cells()
    missing = np.flatnonzero(column == None if column.dtype == object else np.isnan(column))  # noqa: E711 - each cell
    if len(missing):
        row, count = int(missing[0]), len(missing)
        word = table.raw[name].cell(row)
        remedy = f"Fill in the cell or delete the {table.unit}"
        rule = "the target is missing"
        if count > 1:
            named = ", ".join(str(table.lines[row]) for row in missing[:_NAMED]) + (", ..." if count > _NAMED else "")
            rule = f"the target is missing in {count:,} of {len(column):,} rows ({table.unit}s {named})"
            remedy = f"Fill in the cells or delete the {table.unit}s"
        if not word or word == "nan":
            raise table.refusal(rule, name, row, f"{remedy}.")
        rule = f"{rule}: {word!r} is one of data.missing_values"
        others = [mark for mark in table.marks.words if not Marks([mark]).matches(word, number_in(word))]
        keep = setting("data.missing_values", others)
        raise table.refusal(rule, name, row, f"{remedy}. To read {word!r} as a value, set {keep}")


def _refuse_too_large(table: TargetTable, name: str) -> None:
    """Raise DataError for a number too large for a finite mean and deviation."""
    column = table.raw[name].cells()
    numbers = np.array([number_in(cell) or 0.0 for cell in column]) if column.dtype == object else column
    large = np.flatnonzero(np.abs(numbers) > LARGEST)
    if len(large):
        remedy = f"Correct it, or use another unit (at most {LARGEST:g})."
        value = column[large[0]]
        rule = f"the number {value} is too large"
        if np.isinf(numbers[large[0]]):
            rule, remedy = f"must be a finite number, got {value}", "Correct it, or delete the row."
        raise table.refusal(rule, name, int(large[0]), remedy)
