"""The data source `parquet`: a table with types, otherwise read as a CSV file; requires the extra `parquet`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.data.paths import check_file
from dlexp.data.splits.division import SplitBy
from dlexp.data.tables.arrow_columns import check_type, raw_column
from dlexp.data.tables.features.problems import ColumnProblem, check_names, raise_all
from dlexp.data.tables.features.target_columns import names_of, targets_kind
from dlexp.data.tables.index_columns import pandas_index
from dlexp.data.tables.raw_table import RawTable, TableOptions, dropped_of, table_of
from dlexp.data.tables.several_files import read_files
from dlexp.data.tables.spelling import Marks
from dlexp.errors import ConfigError, DataError

__all__ = ["parquet", "target_kind"]


def parquet(
    *,
    path: str,
    target: str | list[str],
    target_kind: str = "auto",
    columns: dict[str, str] | None = None,
    missing_values: list[str] | None = None,
    max_categories: int = 50,
    rare: str = "other",
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

    Numbers stay numbers; texts, booleans, dates and times are read like the same texts in a CSV file. Columns
    that data.columns drops are not read. Raises DataError for invalid data, ConfigError if pyarrow is not installed.
    """
    targets, declared = names_of(target), columns or {}
    by = SplitBy(group, time, split_column)
    needed = [*targets, *by.names]
    table = read_files(
        (path, val_path, test_path),
        lambda file: _read(file, missing_values or [], declared, needed),
        dropped_of(declared, needed),
    )
    split = (val_fraction, test_fraction, split_seed)
    return table_of(table, TableOptions(targets, target_kind, declared, max_categories, rare, standardize, split, by))


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`: data.target_kind, or derived from the column that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    targets = names_of(arguments["target"])
    table = _read(Path(arguments["path"]), arguments["missing_values"], {}, targets, only=True)
    columns = {name: (column, partial(table.refusal, column=name)) for name, column in table.raw.items()}
    return targets_kind(columns, table.file)


def _read(
    file: Path, missing_values: Sequence[str], declared: Mapping[str, str], targets: Sequence[str], only: bool = False
) -> RawTable:
    """The raw table with all columns that are not dropped, or with the targets only; rows count from 1."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        rule = "requires the package pyarrow"
        raise ConfigError.one(
            "data", "parquet", rule, "Install it: pip install 'dlexp[parquet]'", code="missing-package"
        ) from error
    check_file(file)
    try:
        with pq.ParquetFile(file) as source:
            names = [str(name) for name in source.schema_arrow.names]
            if only:
                check_names(file, names, targets)
            left_out = dropped_of(declared, targets)
            wanted = list(targets) if only else [name for name in names if name not in left_out]
            repeated = sorted(name for name, count in Counter(names).items() if count > 1)
            if repeated:
                raise DataError(f"duplicate column names: {', '.join(map(repr, repeated))}", file=file)
            _check_types(file, {name: source.schema_arrow.field(name).type for name in wanted}, declared, targets)
            table, index = source.read(columns=wanted), pandas_index(source.schema_arrow.metadata)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"not a valid Parquet file: {reason}", file=file) from error
    if not table.num_rows:
        raise DataError("has no rows", file=file, code="too-few-samples")
    marks = Marks(missing_values)
    columns = {name: raw_column(str(file), name, table.column(name), marks) for name in wanted}
    lines = np.arange(1, table.num_rows + 1, dtype=np.int64)
    return RawTable(file, columns, lines, tuple(names), marks, unit="row", index=index)


def _check_types(file: Path, types: Mapping[str, Any], declared: Mapping[str, str], targets: Sequence[str]) -> None:
    """Raise DataError for all columns of types that can be read neither as numbers nor as texts."""
    problems = []
    for name, kind in types.items():
        try:
            remedy = "Write one number or text per row, or set another data.target" if name in targets else ""
            check_type(str(file), name, kind, remedy)
        except DataError as error:
            problems.append(ColumnProblem(error, name, "" if name in targets else "drop"))
    raise_all(problems, file, declared)
