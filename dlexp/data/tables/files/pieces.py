"""Tables that are read sequentially, in pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import Marks, number_in
from dlexp.errors import DataError
from dlexp.text.quoting import listed, shell_word

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


def no_header(path: Path | str, names: Sequence[str]) -> tuple[str, str] | None:
    """(what is wrong, a line that adds a header) for names that are data, None for others.

    Years and other numbers may be the names of some columns, but hardly of more than half of them, with a fraction.
    """
    numbers = [name for name in names if number_in(name) is not None]
    if 2 * len(numbers) <= len(names) or all(name.isdigit() and len(name) == 4 for name in numbers):
        return None
    file = shell_word(str(path))
    header = ",".join(f"c{place}" for place in range(1, len(names) + 1))
    target = shell_word(f"with_header_{Path(path).name}")
    remedy = f"Add one with the names of the columns: (echo {header}; cat {file}) > {target}"
    return f"line 1 looks like data ({', '.join(names[:3])}, ...), not like a header", remedy
