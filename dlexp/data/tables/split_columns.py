"""Columns of a table that divide its rows: groups, times and names of splits; they are no features.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dlexp.data.split_names import standard_split
from dlexp.data.splits.divided_groups import DividedGroups, divided_groups, may_name_groups
from dlexp.data.splits.division import RowKeys, SplitBy
from dlexp.data.tables.features import dates
from dlexp.data.tables.features.encodings import DateCells
from dlexp.data.tables.features.kinds import is_date_column, read_column
from dlexp.data.tables.features.problems import ColumnProblem, not_found
from dlexp.data.tables.labels import Labels
from dlexp.data.tables.raw_column import RawColumn
from dlexp.errors import Code, DataError
from dlexp.findings import counted, declaring
from dlexp.text.quoting import setting

_NAMED = 5  # cells named in an error


class DividedTable(Protocol):
    """The columns of a file; see `RawTable`."""

    @property
    def file(self) -> Any:
        """The path of the file."""

    @property
    def raw(self) -> dict[str, RawColumn]:
        """Name -> column."""

    @property
    def names(self) -> tuple[str, ...]:
        """All columns."""

    @property
    def unit(self) -> str:
        """What is counted in error messages."""

    @property
    def given_parts(self) -> NDArray[np.str_] | None:
        """(N,) the split whose file a row is of; None for a single file."""

    def refusal(
        self, message: str, column: str, row: int | None = None, remedy: str = "", code: Code | None = None
    ) -> DataError:
        """The error for a column or a cell."""

    def labels_of(self, name: str) -> Labels:
        """A column as labels."""


def row_keys(
    table: DividedTable,
    by: SplitBy,
    targets: Sequence[str],
    declared: Mapping[str, str],
    problems: list[ColumnProblem],
) -> RowKeys:
    """What divides the rows of a table; problems of the columns are added to `problems`.

    declared  data.columns
    """
    found: dict[str, Any] = {"parts": table.given_parts}
    readers: dict[str, Callable[[DividedTable, str, str], dict[str, Any]]] = {
        "group": _groups,
        "time": _times,
        "split_column": _parts,
    }
    for key, name in by.keys.items():
        error = not_found(table.file, table.names, [name], name, key=f"data.{key}")
        if error is None and name in targets:
            error = table.refusal(f"is the target, which cannot be data.{key}", name, remedy=f"Set another data.{key}")
        suggested = ""
        if error is None:
            try:
                found |= readers[key](table, name, declared.get(name, ""))
            except _Suggested as problem:
                error, suggested = problem.error, problem.kind
            except DataError as problem:
                error = problem
        if error is not None:
            problems.append(ColumnProblem(error, name, suggested))
    return RowKeys(**found)


class _Suggested(Exception):
    def __init__(self, error: DataError, kind: str) -> None:
        super().__init__(str(error))
        self.error, self.kind = error, kind


def _groups(table: DividedTable, name: str, declared: str) -> dict[str, Any]:
    labels = table.labels_of(name)
    _refuse_missing(table, name, "group", labels.codes < 0)
    return {"groups": labels.codes, "group_names": labels.names}


def _times(table: DividedTable, name: str, declared: str) -> dict[str, Any]:
    raw = table.raw[name]
    cells = raw.cells()
    if cells.dtype != object and declared not in ("date", *dates.ORDERS):
        _refuse_missing(table, name, "time", ~np.isfinite(cells))
        return {"times": cells}
    kind = declared if declared in ("date", *dates.ORDERS) else ""
    read = read_column(name, raw, kind, partial(table.refusal, column=name), ("other", len(raw.present.distinct)))
    if isinstance(read.column, DateCells):
        _refuse_missing(table, name, "time", np.isnat(read.column.values))
        return {"times": read.column.values}
    if read.problem is not None and read.suggested in ("date", *dates.ORDERS):
        raise _Suggested(read.problem, read.suggested)
    row = int(np.argmax(raw.numbers[1]))
    rule = f"must be numbers or dates (data.time), got {raw.cell(row)!r}"
    raise table.refusal(rule, name, row, "Write a date such as 2024-05-31, or set another data.time")


def _parts(table: DividedTable, name: str, declared: str) -> dict[str, Any]:
    spelled = table.raw[name].present
    _refuse_missing(table, name, "split", spelled.codes < 0)
    names = np.array([*map(standard_split, spelled.distinct), ""])
    parts = names[spelled.codes]
    unknown = np.flatnonzero(parts == "")
    if len(unknown):
        texts = list(dict.fromkeys(spelled.distinct[code] for code in spelled.codes[unknown].tolist()))
        shown = ", ".join(map(repr, texts[:_NAMED])) + (", ..." if len(texts) > _NAMED else "")
        rule = f"{shown} {'names' if len(texts) == 1 else 'name'} no split, in {counted(len(unknown), 'row')}"
        remedy = "Write train, val or test in each row, or another of their usual names, such as training, dev, valid"
        raise table.refusal(rule, name, int(unknown[0]), remedy, "unknown-value")
    return {"parts": parts}


def _refuse_missing(table: DividedTable, name: str, what: str, missing: NDArray[np.bool_]) -> None:
    rows = np.flatnonzero(missing)
    if len(rows):
        more = f", and of {counted(len(rows) - 1, 'more row')}" if len(rows) > 1 else ""
        remedy = f"Fill in the cell or delete the {table.unit}."
        raise table.refusal(f"the {what} is missing{more}", name, int(rows[0]), remedy)


def group_hints(
    raw: Mapping[str, RawColumn],
    by: SplitBy,
    names: Sequence[str],
    targets: NDArray[Any],
    rows: Sequence[NDArray[np.int64]],
) -> dict[str, DividedGroups]:
    """The columns that look like groups which the split divides; none where groups are named already.

    names    the columns of the targets
    targets  (N,) class numbers or (N, O) values
    rows     row numbers of each split
    """
    found = {}
    for name, column in raw.items():
        if by.group is not None or name in (*names, *by.names):
            continue
        codes = None
        if column.is_text:
            codes = column.present.codes
        elif may_name_groups(name):
            codes = _whole_numbers(column.cells())
        hint = None if codes is None else divided_groups(name, codes, targets, rows)
        if hint is not None and not is_date_column(column):
            found[name] = hint
    return found


def _whole_numbers(cells: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """(N,) a number from 0 on for each value, -1 for a missing one; None if the values are not whole."""
    if (cells != np.floor(cells))[~np.isnan(cells)].any():
        return None
    codes: NDArray[np.int64] = np.unique(cells, return_inverse=True)[1].astype(np.int64)
    codes[np.isnan(cells)] = -1
    return codes


def split_hint(name: str, declared: Mapping[str, str]) -> str:
    """What to set about a column that names splits and is not used."""
    kept = declaring({name: "category"}, declared)
    return f"To split by it, set {setting('data.split_column', name)}. To keep it as a feature, set {kept}"
