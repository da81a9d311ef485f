"""Columns of texts that are probably numbers: refused with the cell and the remedy, or reported; never read in silence.

Symbols: N rows.
"""

from __future__ import annotations

import numpy as np

from dlexp.data.tables.labels import Refusal, first_row
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import number_in, other_number

_MOSTLY = 0.9  # share of numbers from which on a column is one of numbers, and its other cells are mistakes
_MANY = 20  # different numbers, beyond which a column is one of numbers, whatever stands among them


def refuse_numbers(column: RawColumn, refusal: Refusal, remedy: str, name: str = "the target") -> list[str]:
    """Raise the error of `refusal` for a column of numbers some of which are texts; else notes on it.

    remedy  the setting that reads the column as texts all the same
    Numbers that are written for people (1,200 or 12%) count as numbers, and are refused by what is special about them.
    """
    codes, texts = column.present.codes, column.present.distinct
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    used = np.flatnonzero(counts).tolist()
    plain = [number for number in used if number_in(texts[number]) is not None]
    other = {number: told for number in used if (told := other_number(texts[number]))}
    if not plain and not other:
        return []
    total, numbers = int(counts.sum()), int(counts[[*plain, *other]].sum())
    wrong = sorted((number for number in used if number_in(texts[number]) is None), key=lambda n: first_row(codes, n))
    is_one_of_numbers = numbers >= _MOSTLY * total or len(plain) + len(other) > _MANY
    if is_one_of_numbers and wrong:
        cell, rest = texts[wrong[0]], int(counts[wrong].sum()) - 1
        more = f" and {rest} more like it" if rest else ""
        special = other_number(cell)
        todo = "correct it, or add it to data.missing_values"
        if special:
            todo = f"write it without {special}"
        raise refusal(
            f"{cell!r}{more} stands among numbers", row=first_row(codes, wrong[0]), remedy=f"{todo}, or set {remedy}"
        )
    if not wrong:
        return []
    what = f"{numbers:,} of {total:,} cells are numbers"
    named = ", ".join(repr(texts[number]) for number in wrong[:3])
    note = f"column {name!r} is read as texts: {what}, and others are not ({named}{', ...' if len(wrong) > 3 else ''})"
    return [f"{note}; for numbers, add those to data.missing_values"]


def special_in(cell: str) -> str:
    """`, which has a percent sign`, or what else keeps a text from being a number; "" for other texts."""
    told = other_number(cell)
    return f", which has {told}" if told else ""
