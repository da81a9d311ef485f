"""Detection of lines above a header, such as the title of a report."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from dlexp.data.tables.files.table_form import AUTO
from dlexp.data.tables.spelling import number_in

_MOST = 10  # lines above a header
_ALIKE = 0.9  # share of rows as long as the header
_FEWEST = 2  # rows below it


def title_lines(lines: Sequence[str], separator: str = AUTO) -> int:
    """The number of lines above the header: each has at most one cell, and the rows below have as many as the header.

    separator  as it is known, or auto
    0 for a text whose first row may be the header.
    """
    found = [_above(lines, one) for one in ([separator] if len(separator) == 1 else [",", ";", "\t", "|"])]
    return 0 if 0 in found else min((number for number in found if number), default=0)


def _above(lines: Sequence[str], separator: str) -> int | None:
    """The lines above the header with this separator, None for a text that it does not divide."""
    rows: list[tuple[int, list[str]]] = []  # number of lines before the row, its cells
    reader, before = csv.reader(lines, delimiter=separator), 0
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((before, row))
            before = reader.line_num
    except csv.Error:
        return None
    header = next((place for place, (_, row) in enumerate(rows) if _filled(row) > 1), None)
    if header is None:
        return None
    start, names = rows[header]
    below = [row for _, row in rows[header + 1 :]]
    if sum(len(row) in (len(names), len(names) + 1) for row in below) < _ALIKE * len(below):
        return None
    is_header = all(cell.strip() and number_in(cell) is None for cell in names)
    return start if is_header and len(below) >= _FEWEST and header <= _MOST else 0


def _filled(row: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)
