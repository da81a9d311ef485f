"""The data source `csv`: a table of numbers and categories; errors name file, line and column."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dlexp.data.bundle import DataBundle
from dlexp.data.splits.division import SplitBy
from dlexp.data.tables.features.problems import check_names
from dlexp.data.tables.features.target_columns import names_of, targets_kind
from dlexp.data.tables.raw_table import RawTable, TableOptions, dropped_of, table_of
from dlexp.data.tables.several_files import read_files
from dlexp.data.tables.spelling import Marks
from dlexp.data.tables.text_file import TextFile
from dlexp.errors import Code, DataError

__all__ = ["csv", "target_kind"]


def csv(
    *,
    path: str,
    target: str | list[str],
    target_kind: str = "auto",
    columns: dict[str, str] | None = None,
    missing_values: list[str] | None = None,
    max_categories: int = 50,
    rare: str = "other",
    separator: str = ",",
    standardize: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    val_path: str | None = None,
    test_path: str | None = None,
) -> DataBundle:
    """Load the table in `path`, with `target` as target; see `dlexp.data.tables.raw_table.table_of`.

    Raises DataError for invalid data.
    """
    targets, declared = names_of(target), columns or {}
    by = SplitBy(group, time, split_column)
    dropped = dropped_of(declared, [*targets, *by.names])
    table = read_files(
        (path, val_path, test_path), lambda file: _read(file, separator, missing_values or [], dropped), dropped
    )
    split = (val_fraction, test_fraction, split_seed)
    return table_of(table, TableOptions(targets, target_kind, declared, max_categories, rare, standardize, split, by))


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`: data.target_kind, or derived from the column that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    file = TextFile(Path(arguments["path"]), arguments["separator"], Marks(arguments["missing_values"]))
    targets = names_of(arguments["target"])
    check_names(file.path, file.header, targets)
    return targets_kind({name: (file.column(name), partial(_refusal, file, name)) for name in targets}, file.path)


def _refusal(
    file: TextFile, name: str, message: str, row: int | None = None, remedy: str = "", code: Code | None = None
) -> DataError:
    line = None if row is None else file.line_of(row, file.column(name).size)
    return DataError(message, file=file.path, column=name, row=line, remedy=remedy, code=code)


def _read(path: Path, separator: str, missing_values: Sequence[str], without: Collection[str] = ()) -> RawTable:
    """The raw table with all columns except `without`."""
    file = TextFile(path, separator, Marks(missing_values))
    left_out = set(without)
    columns, lines, notes = file.read([name for name in file.header if name not in left_out])
    return RawTable(path, columns, lines, tuple(file.header), file.marks, notes=tuple(notes))
