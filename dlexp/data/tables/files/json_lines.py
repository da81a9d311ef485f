"""Readers of tables in JSON lines and JSON arrays of objects, with the cells of an equivalent CSV file."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import IO, Any

from dlexp.data.tables.files.opening import STDIN
from dlexp.data.tables.files.pieces import ROWS_AT_A_TIME, OpenTable, Piece, Row
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError

LOOKED = 100_000  # objects after the first whose keys are columns
_STYLED = re.compile(r"[^,]*\d,\d.*|[-+]?\d{1,3}(\.\d{3})+")  # texts whose marks have another meaning than in JSON
_REMEDY = 'Write one object per line, such as {"size": 3, "kind": "red"}'


@dataclass(frozen=True)
class KnownKeys:
    """What prediction knows of the keys of its objects.

    names    the columns that training read
    lenient  whether other keys are ignored
    """

    names: Collection[str]
    lenient: bool = False


class _Number(str):
    """The spelling of a number of JSON, which is no text."""

    __slots__ = ()


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


def json_lines(path: str, file: IO[str], marks: Marks, known: KnownKeys | None = None) -> OpenTable:
    """Open a table whose header is the keys of the first `LOOKED` objects. Raises DataError without such an object.

    known  what prediction knows: keys that not all objects have are columns only if they are its names. Standard input
           is then read as it comes, its first object has all columns.
    A missing key and null are empty cells; a later line with other content is unusable. The keys of nested objects are
    joined by points.
    """
    numbered = ((number, line) for number, line in enumerate(file, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise DataError("is empty", file=path, code="too-few-samples")
    header = _object(first[1])
    if isinstance(header, str):
        raise DataError(f"not a valid table: the line {header}", file=path, row=first[0], remedy=_REMEDY)
    further = 0 if known is not None and path == STDIN else LOOKED
    looked = [(first[0], header), *((number, _object(line)) for number, line in islice(numbered, further))]
    found = chain(looked, ((number, _object(line)) for number, line in numbered))
    return _opened(_keys([row for _, row in looked], known), found, marks, "line", known)


def json_array(path: str, file: IO[str], marks: Marks, known: KnownKeys | None = None) -> OpenTable:
    """Open a JSON array of objects; the header is the keys of all of them, rows count from 1. Raises DataError."""
    try:
        rows = json.loads(file.read(), parse_int=_Number, parse_float=_Number, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not a valid table: is not valid JSON: {error}", file=path) from error
    if not rows:
        raise DataError("is empty", file=path, code="too-few-samples")
    if not isinstance(rows[0], dict):
        rule = f"not a valid table: the array contains {type(rows[0]).__name__}, not objects"
        raise DataError(rule, file=path, remedy=_REMEDY)
    found = [_checked(row) for row in rows]
    return _opened(_keys(found, known), enumerate(found, 1), marks, "row", known)


def _keys(found: Sequence[dict[str, Any] | str], known: KnownKeys | None) -> list[str]:
    """The keys of all objects that are columns."""
    rows = [row for row in found if isinstance(row, dict)]
    keys = dict.fromkeys(key for row in rows for key in row)
    if known is None:
        return list(keys)
    return [key for key in keys if key.strip() in known.names or all(key in row for row in rows)]


def _opened(
    keys: list[str],
    found: Iterable[tuple[int, dict[str, Any] | str]],
    marks: Marks,
    unit: str,
    known: KnownKeys | None,
) -> OpenTable:
    columns = None if known is not None and known.lenient else frozenset(keys)

    def rows(places: Sequence[int]) -> Iterator[Piece]:
        wanted, mixtures = [keys[place] for place in places], _Mixtures()
        some: list[Row] = []
        numbers: list[int] = []
        for number, row in found:
            some.append(mixtures.checked(_cells(row, wanted, columns), wanted))
            numbers.append(number)
            if len(some) == ROWS_AT_A_TIME:
                yield Piece.of_rows(some, numbers, len(wanted), marks)
                some, numbers = [], []
        yield Piece.of_rows(some, numbers, len(wanted), marks)

    return OpenTable([name.strip() for name in keys], rows, unit)


@dataclass(frozen=True)
class _Mixtures:
    """The columns with numbers, and with texts that are formatted numbers: both in one column mean different things."""

    numbers: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def checked(self, row: Row, names: Sequence[str]) -> Row:
        """The row, or why it is unusable."""
        if isinstance(row, str):
            return row
        for name, cell in zip(names, row, strict=True):
            if isinstance(cell, _Number):
                if "." in cell and name in self.texts:
                    return _mixture(name, cell, self.texts[name])
                self.numbers.setdefault(name, cell) if "." in cell else None
            elif isinstance(cell, str) and _STYLED.fullmatch(cell.strip()):
                if name in self.numbers:
                    return _mixture(name, self.numbers[name], cell)
                self.texts.setdefault(name, cell)
        return row


def _mixture(name: str, number: str, text: str) -> str:
    return (
        f"column {name!r}: has the number {number} and the text {text!r}, whose marks may have another meaning: write "
        "all cells as numbers, without quotes"
    )


def _cells(found: dict[str, Any] | str, wanted: Sequence[str], known: frozenset[str] | None) -> Row:
    """The cells of an object, or why it is unusable; `known` is None if other keys are ignored."""
    if isinstance(found, str):
        return found
    extra = [] if known is None else [name for name in found if name not in known]
    if extra:
        return f"has the key {extra[0]!r}, which is no column of the other objects"
    cells = [found.get(name) for name in wanted]
    nested = [name for name, cell in zip(wanted, cells, strict=True) if isinstance(cell, list)]
    if nested:
        return f"column {nested[0]!r}: must be a number or a text, got a list"
    if all(cell is None for cell in found.values()):
        return "all cells are empty"
    return [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]


def _object(line: str) -> dict[str, Any] | str:
    """The object on a line, with numbers as texts; or the reason why it is invalid."""
    if not line.isascii() and any("\udc80" <= letter <= "\udcff" for letter in line):
        return "is not UTF-8 text"
    try:
        found = json.loads(line, parse_int=_Number, parse_float=_Number, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        return f"is not valid JSON: {error}"
    return _checked(found)


def _checked(found: Any) -> dict[str, Any] | str:
    if not isinstance(found, dict):
        return f"is not a JSON object but {_kind(found)}"
    if not any(isinstance(cell, dict) for cell in found.values()):
        return found
    flat: dict[str, Any] = {}
    for name, cell in _flat(found):
        if name in flat:
            return f"has the key {name!r} twice: on its own and of a nested object"
        flat[name] = cell
    return flat


def _flat(found: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The cells of an object and of those within it, named `outer.inner`; an empty one is no value."""
    for name, cell in found.items():
        if isinstance(cell, dict) and cell:
            yield from _flat(cell, f"{before}{name}.")
        else:
            yield f"{before}{name}", None if isinstance(cell, dict) else cell


def _kind(found: Any) -> str:
    """The name of the type of a value of JSON, as Python calls it."""
    return "a number" if isinstance(found, _Number) else type(found).__name__


def _is_object(line: str) -> bool:
    return isinstance(_object(line), dict)


def _constant(word: str) -> str | None:
    """None for NaN, which is a missing cell as in a Parquet file; infinities remain texts."""
    return None if word == "NaN" else word
