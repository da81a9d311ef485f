"""Tables that are read sequentially, in pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.data.tables.features.no_header import no_header
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError
from dlexp.text.quoting import listed

ROWS_AT_A_TIME = 4096

Row = list[Any] | str  # the texts of the cells, None for a missing one; or the reason why the row is unusable


@dataclass(frozen=True)
class Piece:
    """Consecutive rows.

    columns   the cells, by column
    problems  the reason why each row is unusable, "" if it is usable
    places    the line number of each row, or its row number in a Parquet file
    """

    columns: list[RawColumn]
    problems: list[str]
    places: list[int]

    @classmethod
    def of_rows(cls, rows: Sequence[Row], places: list[int], width: int, marks: Marks) -> Piece:
        """Create a piece from rows of `width` texts."""
        problems = [row if isinstance(row, str) else "" for row in rows]
        blank = [None] * width
        whole = [blank if isinstance(row, str) else row for row in rows]
        columns = list(zip(*whole, strict=True)) or [()] * width
        return cls([RawColumn.of_texts(column, marks) for column in columns], problems, places)


@dataclass(frozen=True)
class OpenTable:
    """An open table whose header was read.

    rows   reads the rows, with the cells at the given positions of the header
    place  the unit of `Piece.places`: line or row
    """

    header: list[str]
    rows: Callable[[Sequence[int]], Iterator[Piece]]
    place: str


def header_names(cells: Sequence[str]) -> list[str]:
    """The names in a header; of several without a name, those behind the first are called as pandas calls them."""
    names = [cell.strip() for cell in cells]
    blank = [place for place, name in enumerate(names) if not name]
    for place in blank:
        if place and (len(blank) > 1 or place == len(names) - 1):
            names[place] = f"Unnamed: {place}"
    return names


def repeated_names(path: Path | str, names: Sequence[str], line: int | None = None) -> DataError:
    """The error for a header with the same name twice, with the numbers of the columns, counted from 1."""
    counts = Counter(names)
    found = [
        f"{name!r} (columns {listed(str(place) for place, one in enumerate(names, 1) if one == name)})"
        for name, count in counts.items()
        if count > 1
    ]
    missing = no_header(path, names)
    rule = f"duplicate column names: {', '.join(found)}" + (f"; {missing[0]}" if missing else "")
    remedy = missing[1] if missing else "Rename all but one of them in the header"
    return DataError(rule, file=path, row=line, remedy=remedy)
