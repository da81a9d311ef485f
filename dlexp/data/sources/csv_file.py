"""A user's own CSV file: numbers, categories, missing cells; every refusal names file, line and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlexp.data.bundle import DataBundle
from dlexp.data.tables.raw_table import Cells, Wanted, check_names, kind_of, table_of
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
    """The table in `path`, ready to train on `target`; see `dlexp.data.tables.raw_table.table_of`.

    Raises DataError for everything in the file that cannot be trained on.
    """
    dropped = [name for name in drop or [] if name != target]
    cells = _read(Path(path), separator, missing_values or [], dropped)
    split = (val_fraction, test_fraction, split_seed)
    return table_of(
        cells,
        Wanted(target, target_kind, categorical or [], drop or [], max_categories, standardize, split, keep or []),
    )


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`, as told by data.target_kind or seen in the column that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    file = TextFile(Path(arguments["path"]), arguments["separator"], Marks(arguments["missing_values"]))
    check_names(file.path, file.header, [arguments["target"]], "data.target")
    column = file.column(arguments["target"])

    def refusal(message: str, row: int, remedy: str) -> DataError:
        line = file.line_of(row, column.size)
        return DataError(message, file=file.path, column=arguments["target"], row=line, remedy=remedy)

    return kind_of(column, refusal)


def _read(path: Path, separator: str, missing_values: Sequence[str], without: Sequence[str] = ()) -> Cells:
    """The cells of all columns but `without`, and the line of each row in the file."""
    file = TextFile(path, separator, Marks(missing_values))
    check_names(path, file.header, without, "data.drop")
    left_out = set(without)
    columns, lines = file.read([name for name in file.header if name not in left_out])
    return Cells(path, columns, lines, tuple(file.header), file.marks)
