"""Readers of tables in JSON lines and JSON arrays of objects, with the cells of an equivalent CSV file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import IO, Any

from dlexp.data.tables.files.pieces import ROWS_AT_A_TIME, OpenTable, Piece, Row
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError

LOOKED = 100_000  # objects after the first whose keys are columns
_REMEDY = 'Write one object per line, such as {"size": 3, "kind": "red"}'


def json_kind(text: str, name: str) -> str:
    """`json lines` or `json` for a text that begins so, "" for another one.

    text  the beginning of a file
    name  of the file, which decides for texts that begin like JSON and are not valid
    """
    start = text.lstrip("\ufeff \t\r\n")
    line, ends, _ = start.partition("\n")
    if start.startswith("{"):
        is_named = name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson", ".json"))
        return "json lines" if is_named or _is_object(line) or (not ends and line.rstrip().endswith("}")) else ""
    if start.startswith("[") and start[1:].lstrip().startswith(("{", "]")):
        return "json"
    return "json lines" if name.lower().endswith((".jsonl", ".ndjson")) else ""


def json_lines(path: str, file: IO[str], marks: Marks) -> OpenTable:
    """Open a table whose header is the keys of the first `LOOKED` objects. Raises DataError without such an object.

    A missing key and null are empty cells; a later line with other content is unusable.
    """
    numbered = ((number, line) for number, line in enumerate(file, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise DataError("is empty", file=path, code="too-few-samples")
    header = _object(first[1])
    keys: dict[str, None] = {}
    if isinstance(header, str):
        raise DataError(f"not a valid table: the line {header}", file=path, row=first[0], remedy=_REMEDY)
    looked = [(number, _object(line)) for number, line in chain([first], islice(numbered, LOOKED))]
    for _, row in looked:
        keys |= dict.fromkeys(row) if isinstance(row, dict) else {}
    found = chain(looked, ((number, _object(line)) for number, line in numbered))
    return _opened(list(keys), found, marks, "line")


def json_array(path: str, file: IO[str], marks: Marks) -> OpenTable:
    """Open a JSON array of objects; the header is the keys of all of them, rows count from 1. Raises DataError."""
    try:
        rows = json.loads(file.read(), parse_int=str, parse_float=str, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not a valid table: is not valid JSON: {error}", file=path) from error
    if not rows:
        raise DataError("is empty", file=path, code="too-few-samples")
    if not isinstance(rows[0], dict):
        rule = f"not a valid table: the array contains {type(rows[0]).__name__}, not objects"
        raise DataError(rule, file=path, remedy=_REMEDY)
    found = ((number, _checked(row)) for number, row in enumerate(rows, 1))
    keys = dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row)
    return _opened(list(keys), found, marks, "row")


def _opened(keys: list[str], found: Iterator[tuple[int, dict[str, Any] | str]], marks: Marks, unit: str) -> OpenTable:
    known = frozenset(keys)

    def rows(places: Sequence[int]) -> Iterator[Piece]:
        wanted = [keys[place] for place in places]
        some: list[Row] = []
        numbers: list[int] = []
        for number, row in found:
            some.append(_cells(row, wanted, known))
            numbers.append(number)
            if len(some) == ROWS_AT_A_TIME:
                yield Piece.of_rows(some, numbers, len(wanted), marks)
                some, numbers = [], []
        yield Piece.of_rows(some, numbers, len(wanted), marks)

    return OpenTable([name.strip() for name in keys], rows, unit)


def _cells(found: dict[str, Any] | str, wanted: Sequence[str], known: frozenset[str]) -> Row:
    if isinstance(found, str):
        return found
    extra = [name for name in found if name not in known]
    if extra:
        return f"has the key {extra[0]!r}, which no object before has: add it to the first one, with null for no value"
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
    return _checked(found)


def _checked(found: Any) -> dict[str, Any] | str:
    return found if isinstance(found, dict) else f"is not a JSON object but {type(found).__name__}"


def _is_object(line: str) -> bool:
    return isinstance(_object(line), dict)


def _constant(word: str) -> str | None:
    """None for NaN, which is a missing cell as in a Parquet file; infinities remain texts."""
    return None if word == "NaN" else word
