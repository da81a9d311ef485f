"""The data source `csv`: a table of numbers and categories; errors name file, line and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlexp.data.bundle import DataBundle
from dlexp.data.tables.raw_table import RawTable, TableOptions, check_names, column_target_kind, table_of
from dlexp.data.tables.spelling import Marks
from dlexp.data.tables.text_file import TextFile
from dlexp.errors import DataError

__all__ = ["csv", "target_kind"]


def csv(
    *,
    path: str,
    target: str,
    target_kind: str = "auto",
    categorical: list[str] | None = None,
    drop: list[str] | None = None,
    keep: list[str] | None = None,
    missing_values: list[str] | None = None,
    max_categories: int = 50,
    separator: str = ",",
    standardize: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> DataBundle:
    """Load the table in `path`, with `target` as target; see `dlexp.data.tables.raw_table.table_of`.

    Raises DataError for invalid data.
    """
    split = (val_fraction, test_fraction, split_seed)
    options = TableOptions(
        target, target_kind, categorical or [], drop or [], max_categories, standardize, split, keep or []
    )
    return table_of(_read(Path(path), separator, missing_values or [], options.unread), options)


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`: data.target_kind, or derived from the column that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    file = TextFile(Path(arguments["path"]), arguments["separator"], Marks(arguments["missing_values"]))
    check_names(file.path, file.header, [arguments["target"]], "data.target")
    column = file.column(arguments["target"])

    def refusal(message: str, row: int, remedy: str) -> DataError:
        line = file.line_of(row, column.size)
        return DataError(message, file=file.path, column=arguments["target"], row=line, remedy=remedy)

    return column_target_kind(column, refusal)


def _read(path: Path, separator: str, missing_values: Sequence[str], without: Sequence[str] = ()) -> RawTable:
    """The raw table with all columns except `without`."""
    file = TextFile(path, separator, Marks(missing_values))
    check_names(path, file.header, without, "data.drop")
    left_out = set(without)
    columns, lines, notes = file.read([name for name in file.header if name not in left_out])
    return RawTable(path, columns, lines, tuple(file.header), file.marks, notes=tuple(notes))
