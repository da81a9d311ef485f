"""Conversion of Arrow columns, as in Parquet files, to raw columns with the cells of a CSV file; requires pyarrow.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dlexp.data.tables.raw_column import RawColumn, Spelled, spell_coded, spell_numbers
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError

_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # ticks of a duration per second


def raw_column(file: str, name: str, column: Any, marks: Marks) -> RawColumn:
    """The raw column of an Arrow Array or ChunkedArray of N cells.

    Integers and floats are numbers, durations are seconds; decimals, booleans, dates and times are read as texts.
    Raises DataError for other types.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = pa.types
    with arrow_errors(file, name, column.type):
        column = _plain(column)
        kind = column.type
        if kinds.is_integer(kind) or kinds.is_floating(kind):
            return _of_numbers(column, marks)
        if kinds.is_duration(kind):
            ticks = column.cast(pa.int64())
            values = pc.fill_null(ticks, 0).to_numpy(zero_copy_only=False) / _TICKS[kind.unit]
            values[_nulls(column)] = np.nan
            return RawColumn(lambda: spell_numbers(values, np.isnan(values)), marks, values)
        if not _has_text(kind):
            raise _refusal(file, name, kind)
        if kinds.is_timestamp(kind) and kind.tz is not None:
            column = column.cast(pa.timestamp(kind.unit, "UTC"))
        found = _spelled(column.cast(pa.string()))
        return RawColumn(lambda: found, marks)


def check_type(file: str, name: str, kind: Any, remedy: str = "") -> None:
    """Raise DataError for an Arrow type that can be read neither as number nor as text.

    remedy  what to do, of a column that cannot be dropped
    """
    import pyarrow as pa

    kind = _plain_type(kind)
    if not (_has_text(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_duration(kind)):
        raise _refusal(file, name, kind, remedy)


@contextmanager
def arrow_errors(file: str, name: str, kind: Any) -> Iterator[None]:
    """Convert errors of Arrow in the body to a DataError that names the file and the column."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"cannot be read as {kind}: {reason}", file=file, column=name) from error


def _refusal(file: str, name: str, kind: Any, remedy: str = "") -> DataError:
    rule = f"must hold numbers or texts, got {kind}"
    return DataError(rule, file=file, column=name, remedy=remedy, code="invalid-type")


def _has_text(kind: Any) -> bool:
    import pyarrow as pa

    kinds = pa.types
    is_string = kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)
    is_moment = kinds.is_date(kind) or kinds.is_time(kind) or kinds.is_timestamp(kind)
    return bool(is_string or is_moment or kinds.is_boolean(kind) or kinds.is_decimal(kind) or kinds.is_null(kind))


def _plain_type(kind: Any) -> Any:
    """The value type of a dictionary, a run-length encoding or an extension such as bool8."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.bool8":
        return pa.bool_()
    return kind


def _plain(column: Any) -> Any:
    """The column without dictionary, run-length encoding or extension type such as bool8."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(column))
    return column.cast(pa.bool_()) if _plain_type(kind) != kind else column


def _of_numbers(column: Any, marks: Marks) -> RawColumn:
    import pyarrow as pa
    import pyarrow.compute as pc

    nulls = _nulls(column)
    zero = pa.scalar(0, pa.float32()).cast(column.type) if pa.types.is_floating(column.type) else 0
    values = pc.fill_null(column, zero).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f" or not nulls.any():
        if nulls.any():
            values = np.array(values)
            values[nulls] = np.nan
        empty = np.isnan(values) if values.dtype.kind == "f" else nulls
        return RawColumn(lambda: spell_numbers(values, empty), marks, values)
    return RawColumn(lambda: spell_numbers(values, nulls), marks, _with_gaps(values, nulls, marks))


def _with_gaps(values: Any, nulls: Any, marks: Marks) -> Any:
    """Integers as float64, NaN for missing ones; marks are matched before digits are lost."""
    numbers = values.astype(np.float64)
    numbers[nulls | (marks.among(values) & ~nulls)] = np.nan
    return numbers


def _nulls(column: Any) -> Any:
    return column.is_null().to_numpy(zero_copy_only=False)


def _spelled(column: Any) -> Spelled:
    """The distinct texts of a column of strings, with a code for each cell."""
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # without chunks
        array = pa.array([], pa.string())
    coded = array.dictionary_encode()
    codes = np.asarray(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
    return spell_coded(codes, coded.dictionary.to_pylist())
