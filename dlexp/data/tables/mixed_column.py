"""Checks of text columns that are probably numeric: rejected with cell and remedy, or reported.

Symbols: N rows.
"""

from __future__ import annotations

import numpy as np

from dlexp.data.tables.labels import Refusal, first_row
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import number_in, other_number

_MOSTLY = 0.9  # share of numbers from which a column is numeric and its other cells are mistakes
_MOST_MARKS = 10  # texts that a proposed setting adds
_MANY = 20  # distinct numbers above which a column is numeric, regardless of its other cells


def refuse_numbers(column: RawColumn, refusal: Refusal, remedy: str, name: str = "the target") -> list[str]:
    """Raise the error of `refusal` for a numeric column with texts; else return messages about numbers among texts.

    remedy  the setting that reads the column as texts
    Formatted numbers (1,200 or 12%) count as numbers, and the error names their format.
    """
    codes, texts = column.present.codes, column.present.distinct
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    used = np.flatnonzero(counts).tolist()
    plain = [number for number in used if number_in(texts[number]) is not None]
    other = {number: style for number in used if (style := other_number(texts[number]))}
    if not plain and not other:
        return []
    total, numbers = int(counts.sum()), int(counts[[*plain, *other]].sum())
    wrong = sorted((number for number in used if number_in(texts[number]) is None), key=lambda n: first_row(codes, n))
    is_numeric = numbers >= _MOSTLY * total or len(plain) + len(other) > _MANY
    if is_numeric and wrong:
        cell, rest = texts[wrong[0]], int(counts[wrong].sum()) - 1
        more = f" and {rest} more" if rest else ""
        special = other_number(cell)
        todo = f"Correct it, set {column.marking([cell])} to read it as missing"
        if special:
            todo = f"Write it without {special}"
        raise refusal(
            f"must be numbers, got {cell!r}{more}", row=first_row(codes, wrong[0]), remedy=f"{todo}, or set {remedy}"
        )
    if not wrong:
        return []
    what = f"{numbers:,} of {total:,} cells are numbers"
    named = ", ".join(repr(texts[number]) for number in wrong[:3])
    note = f"column {name!r} is read as texts: {what}, but not ({named}{', ...' if len(wrong) > 3 else ''})"
    marking = column.marking([texts[number] for number in wrong[:_MOST_MARKS]])
    more = ", with all of them" if len(wrong) > _MOST_MARKS else ""
    return [f"{note}. To read it as numbers, set {marking}{more}"]


def special_in(cell: str) -> str:
    """`, which has a percent sign`, or another reason why a formatted number is a text; "" for other texts."""
    style = other_number(cell)
    return f", which has {style}" if style else ""
