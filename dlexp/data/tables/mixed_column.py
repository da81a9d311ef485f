"""Checks of text columns that are probably numeric: rejected with cell and remedy, or reported.

Symbols: N rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlexp.data.tables.labels import Refusal, first_row
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import number_in, other_number
from dlexp.errors import DataError

_MOSTLY = 0.9  # share of numbers from which a column is numeric and its other cells are mistakes
_MOST_MARKS = 10  # texts that a proposed setting adds
_MANY = 20  # distinct numbers above which a column is numeric, regardless of its other cells


def numeric_problem(column: RawColumn, refusal: Refusal, remedy: str) -> DataError | None:
    """The error of `refusal` for a numeric column with texts; None for other columns.

    remedy  a further way out, a phrase
    Formatted numbers (1,200 or 12%) count as numbers, and the error names their format.
    """
    found = _numbers_among(column)
    if found is None:
        return None
    codes, texts = column.present.codes, column.present.distinct
    is_numeric = found.numbers >= _MOSTLY * found.total or found.distinct > _MANY
    if not is_numeric or not found.wrong:
        return None
    cell, rest = texts[found.wrong[0]], found.count_of_wrong - 1
    more = f" and {rest} more" if rest else ""
    special = other_number(cell)
    todo = (
        f"Write it without {special}" if special else f"Correct it, set {column.marking([cell])} to read it as missing"
    )
    rule = f"must be numbers, got {cell!r}{more}"
    return refusal(rule, row=first_row(codes, found.wrong[0]), remedy=f"{todo}, or {remedy}")


def texts_note(column: RawColumn, name: str) -> list[str]:
    """A message about a column of texts with numbers among them; [] for other columns."""
    found = _numbers_among(column)
    if found is None or not found.wrong:
        return []
    named = ", ".join(repr(column.present.distinct[number]) for number in found.wrong[:3])
    what = f"{found.numbers:,} of {found.total:,} cells are numbers"
    note = f"column {name!r} is read as texts: {what}, but not ({named}{', ...' if len(found.wrong) > 3 else ''})"
    marking = column.marking([column.present.distinct[number] for number in found.wrong[:_MOST_MARKS]])
    more = ", with all of them" if len(found.wrong) > _MOST_MARKS else ""
    return [f"{note}. To read it as numbers, set {marking}{more}"]


@dataclass(frozen=True)
class _Numbers:
    """The numbers among texts: cells that are numbers, all cells, distinct numbers, the other texts and their cells."""

    numbers: int
    total: int
    distinct: int
    wrong: list[int]
    count_of_wrong: int


def _numbers_among(column: RawColumn) -> _Numbers | None:
    """The numbers among the texts of a column, None if there are none."""
    codes, texts = column.present.codes, column.present.distinct
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    used = np.flatnonzero(counts).tolist()
    plain = [number for number in used if number_in(texts[number]) is not None]
    other = [number for number in used if other_number(texts[number])]
    if not plain and not other:
        return None
    first = np.zeros(len(texts) + 1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]  # the last assignment to a repeated index is kept
    wrong = sorted(
        (number for number in used if number_in(texts[number]) is None), key=lambda number: int(first[number])
    )
    cells = int(counts[[*plain, *other]].sum())
    return _Numbers(cells, int(counts.sum()), len(plain) + len(other), wrong, int(counts[wrong].sum()))


def special_in(cell: str) -> str:
    """`, which has a percent sign`, or another reason why a formatted number is a text; "" for other texts."""
    style = other_number(cell)
    return f", which has {style}" if style else ""
