"""A user's own Parquet file, read as a CSV file is, with the types that it has; needs the extra `parquet`.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.cells import Cells, Wanted, table_of
from dlexp.data.find import check_file
from dlexp.data.index_columns import pandas_index
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
    """The table in `path`, ready to train on `target`; see `dlexp.data.cells.table_of`.

    Numbers stay numbers; texts, booleans, dates and times are read as the same texts in a CSV file would be. Columns
    in data.drop are not read. Raises DataError for everything in the file that cannot be trained on, ConfigError
    where pyarrow is missing.
    """
    cells = _read(Path(path), missing_values or [], without=[name for name in drop or [] if name != target])
    split = (val_fraction, test_fraction, split_seed)
    return table_of(
        cells, Wanted(target, target_kind, categorical or [], [], max_categories, standardize, split, keep or [])
    )


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`, as told by data.target_kind or seen in the column that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    cells = _read(Path(arguments["path"]), arguments["missing_values"], only=arguments["target"])
    return cells.kind_of(arguments["target"])


def _read(file: Path, missing_values: Sequence[str], without: Sequence[str] = (), only: str | None = None) -> Cells:
    """The cells of all columns but `without`, or of one; rows count from 1."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        rule = "needs the package pyarrow"
        raise ConfigError.one("data", "parquet", rule, "pip install 'dlexp[parquet]'") from error
    check_file(file)
    try:
        with pq.ParquetFile(file) as source:
            names = [str(name) for name in source.schema_arrow.names]
            all_columns = Cells(file, dict.fromkeys(names, np.empty(0)), np.empty(0, dtype=np.int64))
            all_columns.check_names([only] if only is not None else [], "data.target")
            all_columns.check_names(without, "data.drop")
            wanted = [only] if only is not None else [name for name in names if name not in without]
            doubled = sorted({name for name in names if names.count(name) > 1})
            if doubled:
                raise DataError(f"has {', '.join(map(repr, doubled))} more than once", file=file)
            table, index = source.read(columns=wanted), pandas_index(source.schema_arrow.metadata)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"is no Parquet file: {reason}", file=file) from error
    if not table.num_rows:
        raise DataError("has no rows", file=file)
    empty = {"", *missing_values}
    columns = {name: _column(file, name, table.column(name), empty) for name in wanted}
    return Cells(file, columns, np.arange(1, table.num_rows + 1, dtype=np.int64), unit="row", index=index)


def _column(file: Path, name: str, column: Any, empty: set[str]) -> NDArray[Any]:
    """(N,) float64 with NaN for a missing number, or (N,) str objects with None. Raises DataError for a nested one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _column(file, name, column.cast(kind.value_type), empty)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers: NDArray[Any] = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")).to_numpy()
        return numbers
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        remedy = f"leave it out with 'data.drop=[{name}]'"
        raise DataError(
            f"holds values of type {kind}, neither numbers nor texts", file=file, column=name, remedy=remedy
        )
    texts = (None if cell is None else cell.strip() for cell in column.cast(pa.string()).to_pylist())
    return np.array([None if cell is None or cell in empty else cell for cell in texts], dtype=object)
