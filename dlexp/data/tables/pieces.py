"""A table that is read from the front, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import Marks

ROWS_AT_A_TIME = 4096  # rows that are read at a time

Row = list[Any] | str  # the texts of the cells, None for one that is missing; or why the row cannot be used


@dataclass(frozen=True)
class Piece:
    """Some rows, one after the other.

    columns   the cells, a column each
    problems  why each row cannot be used, "" where it can
    places    the line, or of Parquet the row, that each is from
    """

    columns: list[RawColumn]
    problems: list[str]
    places: list[int]

    @classmethod
    def of_rows(cls, rows: Sequence[Row], places: list[int], width: int, marks: Marks) -> Piece:
        """Rows of `width` texts."""
        problems = [row if isinstance(row, str) else "" for row in rows]
        blank = [None] * width
        whole = [blank if isinstance(row, str) else row for row in rows]
        columns = list(zip(*whole, strict=True)) or [()] * width
        return cls([RawColumn.of_texts(column, marks) for column in columns], problems, places)


@dataclass(frozen=True)
class OpenTable:
    """A table whose header was read.

    rows   the rows, each with the cells at these positions of the header
    place  what the number beside a row counts: line or row
    """

    header: list[str]
    rows: Callable[[Sequence[int]], Iterator[Piece]]
    place: str
