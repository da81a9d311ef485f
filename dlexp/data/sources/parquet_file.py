"""The data source `parquet`: a table with types, otherwise read as a CSV file; requires the extra `parquet`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.data.paths import check_file
from dlexp.data.tables.arrow_columns import check_type, raw_column
from dlexp.data.tables.index_columns import pandas_index
from dlexp.data.tables.raw_table import RawTable, TableOptions, check_names, table_of
from dlexp.data.tables.spelling import Marks
from dlexp.errors import ConfigError, DataError

__all__ = ["parquet", "target_kind"]


def parquet(
    *,
    path: str,
    target: str,
    target_kind: str = "auto",
    categorical: list[str] | None = None,
    drop: list[str] | None = None,
    keep: list[str] | None = None,
    missing_values: list[str] | None = None,
    max_categories: int = 50,
    standardize: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> DataBundle:
    """Load the table in `path`, with `target` as target; see `dlexp.data.tables.raw_table.table_of`.

    Numbers stay numbers; texts, booleans, dates and times are read like the same texts in a CSV file. Columns in
    data.drop are not read. Raises DataError for invalid data, ConfigError if pyarrow is not installed.
    """
    split = (val_fraction, test_fraction, split_seed)
    options = TableOptions(
        target, target_kind, categorical or [], drop or [], max_categories, standardize, split, keep or []
    )
    return table_of(_read(Path(path), missing_values or [], target, without=options.unread), options)


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`: data.target_kind, or derived from the column that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    target = arguments["target"]
    table = _read(Path(arguments["path"]), arguments["missing_values"], target, only=target)
    return table.kind_of(arguments["target"])


def _read(
    file: Path, missing_values: Sequence[str], target: str, without: Sequence[str] = (), only: str | None = None
) -> RawTable:
    """The raw table with all columns except `without`, or with only one; rows count from 1."""
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
            check_names(file, names, [only] if only is not None else [], "data.target")
            check_names(file, names, without, "data.drop")
            left_out = set(without)
            wanted = [only] if only is not None else [name for name in names if name not in left_out]
            repeated = sorted(name for name, count in Counter(names).items() if count > 1)
            if repeated:
                raise DataError(f"duplicate column names: {', '.join(map(repr, repeated))}", file=file)
            for name in wanted:
                remedy = "Write one number or text per row, or set another data.target" if name == target else None
                check_type(str(file), name, source.schema_arrow.field(name).type, remedy)
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
