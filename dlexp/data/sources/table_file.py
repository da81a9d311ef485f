"""The data sources `csv` and `parquet`: a table in a file of any format, which is detected from its content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlexp.data.bundle import DataBundle
from dlexp.data.tables.files.reading import read_table
from dlexp.data.tables.files.table_form import AUTO, FormSettings
from dlexp.data.tables.raw_table import TableOptions, table_of
from dlexp.data.tables.spelling import Marks

__all__ = ["table_file", "target_kind"]


def table_file(
    *,
    path: str,
    target: str,
    target_kind: str = "auto",
    categorical: list[str] | None = None,
    drop: list[str] | None = None,
    keep: list[str] | None = None,
    missing_values: list[str] | None = None,
    max_categories: int = 50,
    separator: str = AUTO,
    decimal: str = AUTO,
    thousands: str = AUTO,
    encoding: str = AUTO,
    sheet: str = AUTO,
    standardize: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> DataBundle:
    """Load the table in `path`, with `target` as target; see `dlexp.data.tables.raw_table.table_of`.

    Columns in `drop` are not read. The form of the file, as it was detected, is told in a note and recorded.
    Raises DataError for invalid data, ConfigError if a package for the format of the file is missing.
    """
    settings = FormSettings.of(
        {"path": path, "separator": separator, "decimal": decimal, "thousands": thousands, "encoding": encoding}
        | {"sheet": sheet}
    )
    split = (val_fraction, test_fraction, split_seed)
    options = TableOptions(
        target, target_kind, categorical or [], drop or [], max_categories, standardize, split, keep or []
    )
    labels = [*(categorical or []), *([target] if target_kind == "class" else [])]
    marks = Marks(missing_values or [])
    table, form = read_table(Path(path), settings, marks, target, without=options.unread, as_texts=labels)
    bundle = table_of(table, options)
    notes = (note, *bundle.notes) if (note := form.note()) else bundle.notes
    return replace(bundle, preprocessing={**bundle.preprocessing, "form": form.plain()}, notes=notes)


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`: data.target_kind, or derived from the column that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    marks, name = Marks(arguments["missing_values"]), arguments["target"]
    table, _ = read_table(Path(arguments["path"]), FormSettings.of(arguments), marks, name, only=name)
    return table.kind_of(name)
