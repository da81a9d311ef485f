"""Conversion of the columns of a pandas DataFrame to raw columns with the cells of a CSV file.

Symbols: N rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from dlexp.data.memory.handed_over import PLACE
from dlexp.data.tables.files.arrow_columns import raw_column as arrow_column
from dlexp.data.tables.files.pieces import ROWS_AT_A_TIME, OpenTable, Piece
from dlexp.data.tables.raw_column import RawColumn, spell_coded, spell_numbers
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError
from dlexp.findings import dropping

_SECOND = np.timedelta64(1, "s")
_PLAIN = (str, bool, int, float, Decimal, np.generic)


def frame_column_names(frame: pd.DataFrame) -> list[str]:
    """The names of the columns as texts. Raises DataError for columns of several levels and for duplicate names."""
    if frame.columns.nlevels > 1:
        remedy = "Join the levels: frame.columns = ['_'.join(map(str, names)) for names in frame.columns]"
        raise DataError("column names of several levels are not supported", file=PLACE, remedy=remedy)
    names = [str(name).strip() for name in frame.columns]
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise DataError(f"duplicate column names: {', '.join(map(repr, repeated))}", file=PLACE)
    return names


def categorical_columns(frame: pd.DataFrame) -> list[str]:
    """The columns of pandas' type `category`, which are categories even if they hold numbers."""
    kinds = [isinstance(kind, pd.CategoricalDtype) for kind in frame.dtypes]
    return [name for name, is_category in zip(frame_column_names(frame), kinds, strict=True) if is_category]


def frame_columns(frame: pd.DataFrame, names: Iterable[str], marks: Marks) -> dict[str, RawColumn]:
    """The raw columns of `names`, by name. Raises DataError for a column of neither numbers nor texts."""
    places = {name: place for place, name in enumerate(frame_column_names(frame))}
    return {name: raw_column_of(name, frame.iloc[:, places[name]], marks) for name in names}


def raw_column_of(name: str, column: pd.Series[Any], marks: Marks) -> RawColumn:
    """The raw column of a pandas Series of N cells.

    Integers and floats are numbers, time differences are seconds. Everything else is read as the text that a CSV file
    of it has: booleans, dates and times, categories, decimals, texts. Raises DataError for other types.
    """
    kind: Any = column.dtype
    if isinstance(kind, pd.SparseDtype):
        return raw_column_of(name, column.astype(kind.subtype), marks)
    if isinstance(kind, pd.ArrowDtype):
        import pyarrow as pa

        return arrow_column(str(PLACE), name, pa.array(column.array), marks)
    if isinstance(kind, pd.CategoricalDtype):
        codes = np.asarray(column.cat.codes, dtype=np.int64)
        return _coded(codes, _texts(name, column.cat.categories), marks)
    if pd.api.types.is_timedelta64_dtype(kind):
        seconds = np.asarray(column.to_numpy() / _SECOND, dtype=np.float64)
        return RawColumn.of_numbers(seconds, marks)
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_datetime64_any_dtype(kind) or kind.kind in "OTUSM":
        try:
            codes, distinct = pd.factorize(column)  # a missing cell has the code -1
        except TypeError as error:  # lists and dicts have no hash
            wrong = next(value for value in column if not isinstance(value, _PLAIN) and value is not None)
            raise _refusal(name, type(wrong).__name__) from error
        return _coded(np.asarray(codes, dtype=np.int64), _texts(name, pd.Index(distinct)), marks)
    if pd.api.types.is_complex_dtype(kind) or not pd.api.types.is_numeric_dtype(kind):
        raise _refusal(name, str(kind))
    return _of_numbers(column, marks)


def open_frame(frame: pd.DataFrame, marks: Marks) -> OpenTable:
    """A DataFrame as a table that is read in pieces, with rows counted from 0, as `frame.iloc` does."""
    names = frame_column_names(frame)

    def rows(places: Sequence[int]) -> Iterator[Piece]:
        for start in range(0, len(frame), ROWS_AT_A_TIME):
            piece = frame.iloc[start : start + ROWS_AT_A_TIME]
            columns = [raw_column_of(names[place], piece.iloc[:, place], marks) for place in places]
            yield Piece(columns, [""] * len(piece), list(range(start, start + len(piece))))

    return OpenTable(names, rows, "row")


def _of_numbers(column: pd.Series[Any], marks: Marks) -> RawColumn:
    empty = np.asarray(column.isna(), dtype=np.bool_)
    if isinstance(column.dtype, np.dtype):
        values: Any = column.to_numpy()
        if values.dtype.kind == "f":
            return RawColumn.of_numbers(values, marks)
        return RawColumn(lambda: spell_numbers(values, empty), marks, values)
    nullable: Any = column.dtype  # such as Int64
    plain = np.dtype(nullable.numpy_dtype)
    values = column.to_numpy(dtype=plain, na_value=0) if empty.any() else column.to_numpy(dtype=plain)
    numbers: Any = values
    if empty.any():
        numbers = values.astype(np.float64)
        numbers[empty | marks.among(values)] = np.nan  # marks are matched before digits are lost
    return RawColumn(lambda: spell_numbers(values, empty), marks, numbers)


def _coded(codes: np.ndarray[Any, np.dtype[np.int64]], texts: Sequence[str], marks: Marks) -> RawColumn:
    found = spell_coded(codes, texts)
    return RawColumn(lambda: found, marks)


def _texts(name: str, values: pd.Index[Any]) -> list[str]:
    """The distinct cells of a column as a CSV file spells them. Raises DataError for lists and other objects."""
    if values.dtype != object:
        return [str(text).removesuffix(".0") for text in values.astype(str)]
    wrong = next((value for value in values if not (isinstance(value, _PLAIN) or _is_moment(value))), None)
    if wrong is not None:
        raise _refusal(name, type(wrong).__name__)
    return [str(value).removesuffix(".0") if isinstance(value, float) else str(value) for value in values]


def _is_moment(value: object) -> bool:
    """Whether a cell is a date, a time, or an interval of them, whose text has a meaning."""
    return hasattr(value, "isoformat") or isinstance(value, pd.Interval | pd.Period)


def _refusal(name: str, kind: str) -> DataError:
    rule, remedy = f"must hold numbers or texts, got {kind}", f"Drop the column: {dropping([name], {})}"
    return DataError(rule, file=PLACE, column=name, remedy=remedy, code="invalid-type")
