"""The data sources `csv` and `parquet`: a table in a file of any format, which is detected from its content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dlexp.data.bundle import DataBundle
from dlexp.data.splits.division import SplitBy
from dlexp.data.tables.features.target_columns import names_of, targets_kind
from dlexp.data.tables.files.reading import check_widths, read_table
from dlexp.data.tables.files.table_form import AUTO, FormSettings
from dlexp.data.tables.raw_table import RawTable, TableOptions, dropped_of, table_of
from dlexp.data.tables.several_files import read_files
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError
from dlexp.kinds import NO_TARGETS

__all__ = ["table_file", "target_kind"]


def table_file(
    *,
    path: str,
    target: str | list[str] | None = None,
    target_kind: str = "auto",
    columns: dict[str, str] | None = None,
    missing_values: list[str] | None = None,
    max_categories: int = 50,
    rare: str = "other",
    separator: str = AUTO,
    decimal: str = AUTO,
    thousands: str = AUTO,
    encoding: str = AUTO,
    sheet: str = AUTO,
    standardize: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    val_path: str | None = None,
    test_path: str | None = None,
    anomalies: Sequence[str] = (),
) -> DataBundle:
    """Load the table in `path`, with `target` as target, None for none; see `dlexp.data.tables.raw_table.table_of`.

    Columns that data.columns drops are not read. The form of the file is told in a note and recorded.
    Raises DataError for invalid data, ConfigError if a package for the format of the file is missing.
    """
    settings = FormSettings.of(
        {"path": path, "separator": separator, "decimal": decimal, "thousands": thousands, "encoding": encoding}
        | {"sheet": sheet}
    )
    split = (val_fraction, test_fraction, split_seed)
    targets, declared, by = names_of(target), columns or {}, SplitBy(group, time, split_column)
    options = TableOptions(targets, target_kind, declared, max_categories, rare, standardize, split, by, anomalies)
    labels = [name for name, kind in declared.items() if kind == "category"]
    labels += targets if target_kind == "class" else []
    used = {name: kind for name, kind in declared.items() if kind != "drop" or name not in by.names}
    forms = []

    def read(file: Path) -> RawTable:
        marks = Marks(missing_values or [])
        table, form = read_table(file, settings, marks, targets, used, as_texts=labels)
        forms.append(form)
        return table

    table = read_files((path, val_path, test_path), read, dropped_of(used, targets))
    form = forms[0]
    bundle = table_of(table, options)
    notes = (note, *bundle.notes) if (note := form.note()) else bundle.notes
    return replace(bundle, preprocessing={**bundle.preprocessing, "form": form.plain()}, notes=notes)


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`: data.target_kind, or derived from the columns that data.target names; `none` without any."""
    if arguments["target_kind"] != "auto" and arguments["target"] is not None:
        return str(arguments["target_kind"])
    marks, targets = Marks(arguments["missing_values"]), names_of(arguments["target"])
    if not targets:
        return NO_TARGETS
    settings = FormSettings.of(arguments)
    table, _ = read_table(Path(arguments["path"]), settings, marks, targets, {}, targets_only=True)
    columns = {name: (column, partial(table.refusal, column=name)) for name, column in table.raw.items()}
    try:
        return targets_kind(columns, table.file)
    except DataError:
        check_widths(Path(arguments["path"]), settings, marks)  # a row with too many cells may be the cause
        raise
