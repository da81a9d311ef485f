"""Reader of tables in JSON lines, with the cells of an equivalent CSV file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import IO, Any

from dlexp.data.tables.pieces import ROWS_AT_A_TIME, OpenTable, Piece, Row
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError

JSON_LINES = (".jsonl", ".ndjson")


def json_lines(path: str, file: IO[str], marks: Marks) -> OpenTable:
    """Open a table whose header is the keys of the first object. Raises DataError without such an object.

    A missing key and null are empty cells; a later line with other content is unusable.
    """
    numbered = ((number, line) for number, line in enumerate(file, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise DataError("is empty", file=path, code="too-few-samples")
    header = _object(first[1])
    if isinstance(header, str):
        remedy = 'Write one object per line, such as {"size": 3, "kind": "red"}'
        raise DataError(f"not a valid table: the line {header}", file=path, row=first[0], remedy=remedy)
    names = [name.strip() for name in header]

    def rows(places: Sequence[int]) -> Iterator[Piece]:
        wanted = [list(header)[place] for place in places]
        some: list[Row] = []
        lines: list[int] = []
        for number, line in chain([first], numbered):
            some.append(_cells(line, wanted, header.keys()))
            lines.append(number)
            if len(some) == ROWS_AT_A_TIME:
                yield Piece.of_rows(some, lines, len(wanted), marks)
                some, lines = [], []
        yield Piece.of_rows(some, lines, len(wanted), marks)

    return OpenTable(names, rows, "line")


def _cells(line: str, wanted: Sequence[str], known: Any) -> Row:
    found = _object(line)
    if isinstance(found, str):
        return found
    extra = [name for name in found if name not in known]
    if extra:
        return f"has the key {extra[0]!r}, which the first line lacks"
    cells = [found.get(name) for name in wanted]
    nested = [name for name, cell in zip(wanted, cells, strict=True) if isinstance(cell, list | dict)]
    if nested:
        return f"column {nested[0]!r}: must be a number or a text, got a list or an object"
    if all(cell is None for cell in found.values()):
        return "all cells are empty"
    return [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]


def _object(line: str) -> dict[str, Any] | str:
    """The object on a line, with numbers as texts; or the reason why it is invalid."""
    if not line.isascii() and any("\udc80" <= letter <= "\udcff" for letter in line):
        return "is not UTF-8 text"
    try:
        found = json.loads(line, parse_int=str, parse_float=str, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        return f"is not valid JSON: {error}"
    return found if isinstance(found, dict) else f"is not a JSON object but {type(found).__name__}"


def _constant(word: str) -> str | None:
    """None for NaN, which is a missing cell as in a Parquet file; infinities remain texts."""
    return None if word == "NaN" else word
