"""Rows of a file with a JSON object on each line, read as the same cells in a CSV file are."""

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
    """A table whose header are the keys of the first object. Raises DataError for a file without one.

    A key that is missing, and null, is an empty cell; a later line that is no object of these keys cannot be used.
    """
    numbered = ((number, line) for number, line in enumerate(file, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise DataError("is empty", file=path, code="too-few-samples")
    header = _object(first[1])
    if isinstance(header, str):
        remedy = 'write one object a line, such as {"size": 3, "kind": "red"}'
        raise DataError(f"is no table: the line {header}", file=path, row=first[0], remedy=remedy)
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
    strange = [name for name in found if name not in known]
    if strange:
        return f"has the key {strange[0]!r}, and the first line has not"
    cells = [found.get(name) for name in wanted]
    nested = [name for name, cell in zip(wanted, cells, strict=True) if isinstance(cell, list | dict)]
    if nested:
        return f"column {nested[0]!r}: holds a list or an object, neither a number nor a text"
    if all(cell is None for cell in found.values()):
        return "every cell is empty"
    return [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]


def _object(line: str) -> dict[str, Any] | str:
    """The object on a line, numbers as their texts; why it is none."""
    if not line.isascii() and any("\udc80" <= letter <= "\udcff" for letter in line):
        return "is not UTF-8 text"
    try:
        found = json.loads(line, parse_int=str, parse_float=str, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        return f"is no JSON: {error}"
    return found if isinstance(found, dict) else f"is no JSON object, but {type(found).__name__}"


def _constant(word: str) -> str | None:
    """NaN is a missing cell, as in a Parquet file; an infinity is a text."""
    return None if word == "NaN" else word
