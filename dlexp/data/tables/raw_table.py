"""Raw tables, as read from files, and their conversion to a DataBundle; errors name file, line and column.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.splits.anomalies import anomaly_numbers, normal_rows
from dlexp.data.splits.division import Division, RowKeys, SplitBy, divide
from dlexp.data.splitting import Shares
from dlexp.data.tables.encoding import Fitting, build_table, chosen, missing_in
from dlexp.data.tables.features.encodings import Column, DateCells, TextCells
from dlexp.data.tables.features.kinds import is_date_column, read_column
from dlexp.data.tables.features.problems import ColumnProblem, raise_all, unknown_columns
from dlexp.data.tables.features.target_columns import targets_of
from dlexp.data.tables.index_columns import NAMES_SPLITS, index_columns
from dlexp.data.tables.labels import Labels, labels_of
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import Marks, number_in
from dlexp.data.tables.split_columns import group_hints, row_keys, split_hint
from dlexp.errors import Code, DataError
from dlexp.findings import declaring
from dlexp.text.quoting import setting

ONE_VALUE = "has a single value"
USUAL_TARGETS = ("target", "label", "labels", "class", "y", "outcome")
TARGET = "data.target"
TOO_LARGE = "has numbers too large to differ as float64"
_LOOKED = 100  # cells that are compared before the whole column


@dataclass(frozen=True)
class RawTable:
    """The columns of a file, and the position of each row in it.

    raw    name -> column, for the columns that are read
    lines  (N,) the number of each row in error messages, counted in `unit`
    names  all columns of the file
    marks  texts that mean "no value"
    index  columns that the file declares as its index
    notes  messages to the user about how it was read
    several  (split, file, number of rows) of each file, if the rows are of several files
    """

    file: Path
    raw: dict[str, RawColumn]
    lines: NDArray[np.int64]
    names: tuple[str, ...]
    marks: Marks
    unit: str = "line"
    index: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    several: tuple[tuple[str, Path, int], ...] = ()

    @property
    def given_parts(self) -> NDArray[np.str_] | None:
        """(N,) the split whose file a row is of; None for a single file."""
        if not self.several:
            return None
        return np.repeat([part for part, _, _ in self.several], [count for _, _, count in self.several])

    def file_of(self, row: int) -> Path:
        """The file that has row number `row`."""
        for _, file, count in self.several:
            if row < count:
                return file
            row -= count
        return self.file

    def refusal(
        self, message: str, column: str, row: int | None = None, remedy: str = "", code: Code | None = None
    ) -> DataError:
        """The error for a column, or for its cell in row number `row`."""
        line = None if row is None else int(self.lines[row])
        file = self.file if row is None else self.file_of(row)
        return DataError(message, file=file, column=column, row=line, remedy=remedy, unit=self.unit, code=code)

    def labels_of(self, name: str) -> Labels:
        """A column as labels. Raises DataError for two spellings of one value that may be two labels."""
        return labels_of(self.raw[name].present, partial(self.refusal, column=name))

    def named(self) -> Callable[[NDArray[np.int64]], list[str]]:
        """What calls rows by their line, with the file where there are several; it keeps no column."""
        return partial(_named, self.unit, self.lines, [(file.name, count) for _, file, count in self.several])

    def free(self) -> None:
        """Forget the columns."""
        self.raw.clear()


@dataclass(frozen=True)
class TableOptions:
    """Targets, columns and split; the keys of data.* of the same names.

    targets     data.target
    columns     name -> kind, one of `KINDS`
    rare        what becomes of categories beyond `max_categories`: other, hash or refuse
    split_by    the columns that divide the rows
    anomalies   classes that no training or validation row has
    """

    targets: Sequence[str]
    target_kind: str
    columns: Mapping[str, str]
    max_categories: int
    rare: str
    standardize: bool
    split: tuple[float, float, int]
    split_by: SplitBy = field(default_factory=SplitBy)
    anomalies: Sequence[str] = ()


@dataclass
class _Read:
    """The columns of a table as they are read.

    columns  name -> cells, of those that are used
    omitted  name -> why it is left out
    notes    messages to the user
    problems the problems of all columns
    units, loose  see `Fitting`
    """

    columns: dict[str, Any] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[ColumnProblem] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)


def table_of(table: RawTable, options: TableOptions) -> DataBundle:
    """The bundle of a raw table, whose columns are taken out of `table`, so that their memory can be used.

    A missing number becomes the median of the training rows, a missing category is encoded as zeros. Numbers are
    standardized, categories one-hot encoded and dates split into parts, with statistics of the training rows.
    Raises DataError for invalid data, with the problems of all columns.
    """
    read = _Read(
        notes=[*table.notes], problems=unknown_columns(table.file, table.names, options.targets, options.columns)
    )
    learned = targets_of(table, options.targets, options.target_kind, read.problems, read.notes)
    keys = row_keys(table, options.split_by, options.targets, options.columns, read.problems)
    _read_columns(table, options, read)
    raise_all(read.problems, table.file, options.columns)
    assert learned is not None
    targets, classes = learned
    if not read.columns:
        raise _nothing_left(table, options, read)
    read.notes += [f"data.missing_values: {word!r} not found in any cell" for word in table.marks.unmatched()]
    how = options.split, options.split_by, options.targets[0] if options.targets else ""
    exempt = anomaly_numbers(options.anomalies, classes) if classes else ()
    division = divide_rows(table, how, targets, classes, keys, exempt)
    rows = normal_rows(division.rows, targets, classes, options.anomalies)
    read.notes += division.notes
    _leave_out_empty(read, rows[0])
    if not read.columns:
        raise _nothing_left(table, options, read)
    named = table.named()
    # Columns that a file for prediction may have in addition.
    unread = [name for name in table.names if name not in read.columns]
    divided = {}
    if targets is None:
        read.notes += _usual_targets(read.columns)
    else:
        divided = group_hints(table.raw, options.split_by, options.targets, targets, rows)
    table.free()
    fitting = Fitting(options.rare, options.max_categories, read.units, read.loose, frees=True)
    notes, names = tuple(read.notes), tuple(options.targets)
    try:
        bundle = build_table(read.columns, targets, classes, names, rows, options.standardize, notes, fitting)
    except DataError as error:
        raise DataError(str(error), file=table.file, code=error.code) from error
    preprocessing = {**bundle.preprocessing, "unread": unread}
    target = names[0] if len(names) == 1 else ""
    return replace(
        bundle,
        preprocessing=preprocessing,
        named=named,
        target=target,
        omitted=read.omitted,
        divided=divided,
        groups=division.groups,
    )


def _usual_targets(columns: Collection[str]) -> Iterator[str]:
    """A message about each column that is read as a feature and has a usual name of a target."""
    for name in (name for name in columns if name.lower() in USUAL_TARGETS):
        yield f"column {name!r} is a feature, since no target is named. If it holds labels, set {setting(TARGET, name)}"


def _read_columns(table: RawTable, options: TableOptions, read: _Read) -> None:
    """Read all columns that are used, each with its problem or the reason why it is left out."""
    declared = {name: kind for name, kind in options.columns.items() if name not in options.targets}
    divides = options.split_by.omitted(options.columns)
    read.omitted.update({name: why for name, why in divides.items() if name in table.raw})
    # Each file numbers its own rows.
    first = slice(table.several[0][2]) if table.several else slice(None)
    cells = ((name, column.cells()[first]) for name, column in table.raw.items() if name not in declared)
    read.omitted.update(index_columns(cells, {*options.targets, *options.split_by.names}, table.index))
    for name, column in table.raw.items():
        kind = declared.get(name, "")
        if name in options.targets or kind == "drop" or name in read.omitted:
            continue
        refusal, categories = partial(table.refusal, column=name), (options.rare, options.max_categories)
        found = read_column(name, column, kind, refusal, categories)
        read.notes += found.notes
        if found.problem is not None:
            read.problems.append(ColumnProblem(found.problem, name, found.suggested))
        elif found.left_out:
            read.omitted[name] = found.left_out
        elif found.column is not None and not _varies(found.column):
            read.omitted[name] = _of_one_value(table, name, found.column)
        elif found.column is not None:
            whole = column.integers if isinstance(found.column, np.ndarray) else None
            read.columns[name] = found.column if whole is None else whole
            if found.unit:
                read.units[name] = found.unit
            if found.loose:
                read.loose.append(name)
    read.notes[:0] = [_left_out(table, options, name, why) for name, why in read.omitted.items()]


def _of_one_value(table: RawTable, name: str, column: Column) -> str:
    """Why a column without different values is left out."""
    if not isinstance(column, np.ndarray) or len(table.labels_of(name).names) < 2:
        return ONE_VALUE
    return TOO_LARGE


def _left_out(table: RawTable, options: TableOptions, name: str, why: str) -> str:
    """The message about a column that is left out, with the key that keeps it."""
    if why == ONE_VALUE:
        return f"column {name!r} {why} and is left out"
    if why == NAMES_SPLITS:
        return f"column {name!r} {why} and is left out. {split_hint(name, options.columns)}"
    kind = "category" if why == TOO_LARGE else _kind_to_keep(table, name)
    return f"column {name!r} {why} and is left out. To keep it, set {declaring({name: kind}, options.columns)}"


def _kind_to_keep(table: RawTable, name: str) -> str:
    if is_date_column(table.raw[name]):
        return "date"
    return "category" if table.raw[name].cells().dtype == object else "number"


def _leave_out_empty(read: _Read, train: NDArray[np.int64]) -> None:
    """Leave out columns without a value in the training rows, and dates that do not vary there."""
    for name, column in list(read.columns.items()):
        if not isinstance(column, DateCells) and not missing_in(chosen(column, train[:1])).all():
            continue  # the first training row has a value
        here = chosen(column, train)
        if missing_in(here).all():
            read.omitted[name] = "has no value in the training rows"
        elif isinstance(here, DateCells) and not _varies(here):
            read.omitted[name] = "has a single value in the training rows"
        else:
            continue
        del read.columns[name]
        read.notes.append(f"column {name!r} {read.omitted[name]} and is left out")


def _nothing_left(table: RawTable, options: TableOptions, read: _Read) -> DataError:
    kept = next((name for name, why in read.omitted.items() if why != ONE_VALUE and name in table.raw), None)
    remedy = ""
    if kept is not None:
        keeping = declaring({kept: _kind_to_keep(table, kept)}, options.columns)
        remedy = f"Column {kept!r} {read.omitted[kept]}. To keep it, set {keeping}"
    return DataError("no column to train on", file=table.file, remedy=remedy)


def _varies(column: Column) -> bool:
    """Return whether a column has two or more different values, without missing ones."""
    if isinstance(column, DateCells):
        present = column.values[~np.isnat(column.values)]
        return bool(len(present)) and bool((present != present[0]).any())
    if isinstance(column, TextCells):
        return len(column.used()) > 1
    if len(column) and (column[:_LOOKED] > column[0]).any():
        return True  # found without a look at all of it
    return not np.isnan(column).all() and bool(np.nanmin(column) != np.nanmax(column))


def dropped_of(declared: Mapping[str, str], targets: Sequence[str]) -> set[str]:
    """The columns that data.columns drops and that need not be read; a target always is."""
    return {name for name, kind in declared.items() if kind == "drop"} - set(targets)


def divide_rows(
    table: RawTable,
    how: tuple[Shares, SplitBy, str],
    targets: NDArray[Any] | None,
    classes: tuple[str, ...],
    keys: RowKeys,
    exempt: Collection[int] = (),
) -> Division:
    """Rows of train, val and test. Raises DataError for too few rows, also of one class.

    how  shares and seed, the columns that divide the rows, and the target, which messages name where there are none
    """
    try:
        return divide(len(table.lines), how[0], targets, classes, keys, exempt)
    except DataError as error:
        remedy, column = "", next(iter(how[1].names), how[2]) or None
        if keys.is_empty and classes and all(number_in(name) is not None for name in classes):
            remedy = f"If the column holds quantities, set {setting('data.target_kind', 'value')}"
        message, remedy = (str(error), remedy) if remedy else (error.rule, error.remedy)
        raise DataError(message, file=table.file, column=column, remedy=remedy, code=error.code) from error


def _named(unit: str, lines: NDArray[np.int64], files: Sequence[tuple[str, int]], rows: NDArray[np.int64]) -> list[str]:
    """What rows are called: their line, with the file where there are several."""
    if not files:
        return [f"{unit} {line}" for line in lines[rows]]
    ends = np.cumsum([count for _, count in files])
    places = np.searchsorted(ends, rows, side="right")
    return [f"{files[place][0]} {unit} {line}" for place, line in zip(places, lines[rows], strict=True)]
