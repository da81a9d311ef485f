"""Sequential reader of rows of a text with separated cells; unusable rows are reported one by one."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from dlexp.data.tables.files.pieces import ROWS_AT_A_TIME, OpenTable, Piece, Row, header_names
from dlexp.data.tables.files.table_form import SEPARATORS, TableForm, word_of
from dlexp.data.tables.files.text_form import csv_rows, header_of
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError


def text_rows(path: str, file: IO[str], form: TableForm, marks: Marks) -> OpenTable:
    """Open a text for sequential reading. Raises DataError for one without a header."""
    for _ in islice(file, form.skipped):
        pass
    reader = csv_rows(file, form.separator)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise DataError(f"not a valid table: {error}", file=path, row=form.skipped + 1) from error
    if header is None:
        raise DataError("is empty", file=path, code="too-few-samples")
    names = header_names(header_of(header, form))
    return OpenTable(names, lambda places: _pieces(path, reader, form.skipped, places, len(names), marks), "line")


def too_wide(path: Path | str, line: int, cells: int, width: int, separator: str) -> DataError:
    """The error for a row with more cells than the header."""
    rule = f"not a valid table: has {cells} cells, but the header has {width}"
    mark = word_of(separator, SEPARATORS)
    remedy = f"Put a cell that contains a {mark} in quotes, or set data.separator if it is not {mark}."
    return DataError(rule, file=path, row=line, remedy=remedy)


def _pieces(path: str, reader: Any, skipped: int, places: Sequence[int], width: int, marks: Marks) -> Iterator[Piece]:
    rows: list[Row] = []
    lines: list[int] = []
    while True:
        line = skipped + reader.line_num + 1  # of the start of the row: a quoted cell may span lines
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"not a valid table: {error}", file=path, row=line) from error
        if row is None or len(rows) == ROWS_AT_A_TIME:
            yield Piece.of_rows(rows, lines, len(places), marks)
            rows, lines = [], []
        if row is None:
            return
        if row or width == 1:  # blank lines are skipped, except in a table of one column
            rows.append(_row(row, places, width))
            lines.append(line)


def _row(row: list[str], places: Sequence[int], width: int) -> Row:
    if len(row) > width and any(cell.strip() for cell in row[width:]):
        return f"has {len(row)} cells, but the header has {width}"
    if any("\udc80" <= letter <= "\udcff" for cell in row if not cell.isascii() for letter in cell):
        return "not UTF-8 text"
    if not "".join(row).strip():
        return "all cells are empty"
    return [row[place] if place < len(row) else None for place in places]
