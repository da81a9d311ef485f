"""Reader of tables in workbooks (.xlsx, .xlsb, .xls, .ods), with the cells of an equivalent CSV file."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator, Sequence
from typing import IO, Any

from dlexp.data.tables.files.pieces import ROWS_AT_A_TIME, OpenTable, Piece, Row, header_names
from dlexp.data.tables.files.table_form import AUTO
from dlexp.data.tables.spelling import Marks
from dlexp.errors import ConfigError, DataError
from dlexp.text.quoting import listed, setting

_ROW = "row"  # of the sheet, counted from 1 with the header


def workbook(path: str, stream: IO[bytes], sheet: str, marks: Marks, expected: str = "") -> tuple[OpenTable, str]:
    """(the table of a sheet, the name of the sheet if there are several). The first row with cells is the header.

    sheet     its name, or its number counted from 1; `auto` is the only sheet with cells
    expected  the sheet of the training file, which decides among several
    Raises DataError for an invalid file or sheet, ConfigError if python-calamine is not installed.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise ConfigError.one(
            "data", path, "a workbook requires the package python-calamine", "Install it: pip install 'dlexp[excel]'",
            code="missing-package",
        ) from error  # fmt: skip
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(stream.read()))
        name = _chosen(path, book, expected if sheet == AUTO and expected in book.sheet_names else sheet)
        rows: list[list[Any]] = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except CalamineError as error:
        raise DataError(f"not a valid workbook: {error}", file=path) from error
    texts = [[_text(cell) for cell in row] for row in rows]
    first = next((number for number, row in enumerate(texts) if any(row)), None)
    if first is None:
        raise DataError("is empty", file=path, code="too-few-samples")
    names = header_names([cell or "" for cell in texts[first]])
    table = OpenTable(names, lambda places: _pieces(texts, first + 1, places, marks), _ROW)
    return table, name if len(book.sheet_names) > 1 else ""


def _chosen(path: str, book: Any, sheet: str) -> str:
    names: list[str] = book.sheet_names
    if sheet in names:
        return sheet
    if sheet.isdecimal() and 1 <= int(sheet) <= len(names):
        return names[int(sheet) - 1]
    if sheet != AUTO:
        raise DataError(f"sheet {sheet!r} not found", file=path, remedy=f"Available: {listed(names)}", code="not-found")
    filled = names if len(names) == 1 else [name for name in names if any(book.get_sheet_by_name(name).to_python())]
    if len(filled) > 1:
        rule = f"has {len(filled)} sheets: {listed(filled)}"
        raise DataError(rule, file=path, remedy=f"Name one of them: {setting('data.sheet', filled[0])}")
    return (filled or names)[0]


def _pieces(texts: list[list[str | None]], first: int, places: Sequence[int], marks: Marks) -> Iterator[Piece]:
    rows: list[Row] = []
    numbers: list[int] = []
    for number, row in enumerate(texts[first:], first + 1):
        if not any(row):
            continue
        rows.append([row[place] if place < len(row) else None for place in places])
        numbers.append(number)
        if len(rows) == ROWS_AT_A_TIME:
            yield Piece.of_rows(rows, numbers, len(places), marks)
            rows, numbers = [], []
    yield Piece.of_rows(rows, numbers, len(places), marks)


def _text(cell: Any) -> str | None:
    """The text that a CSV file has for a cell; None for an empty one."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return repr(cell).removesuffix(".0")
    if isinstance(cell, datetime.datetime):
        return str(cell).removesuffix(" 00:00:00")
    if isinstance(cell, datetime.timedelta):
        within = cell.seconds
        return f"{cell.days} days {within // 3600:02}:{within // 60 % 60:02}:{within % 60:02}"
    text = "" if cell is None else str(cell).strip()
    return text or None
