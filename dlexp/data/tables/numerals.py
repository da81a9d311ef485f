"""Spelling of formatted numbers: decimal comma, thousands, currency and percent signs, decided for whole columns.

A cell such as 1,200 has two readings. The other cells of its column decide, and if they have the same two readings, the
other columns of the file (`decimal_of`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from dlexp.data.tables.spelling import number_in

_SIGNS = "$\u20ac\u00a3\u00a5\u20b9\u20bd\u20a9\u20ba"
_CODES = "US\\$|R\\$|USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|AUD|CAD|BRL|KRW|z\u0142|kr|Fr\\."
_CURRENCY = re.compile(rf"(?:[{_SIGNS}]|{_CODES})")
_BLANKS = " \u00a0\u202f\u2009"
_APOSTROPHES = "'\u2019"
_MINUS = "\u2212\\-"  # for a character class
_CELL = re.compile(
    rf"(?P<sign>[+{_MINUS}])?\s*(?P<before>[{_SIGNS}]|{_CODES})?\s*(?P<inner>[+{_MINUS}])?"
    rf"(?P<body>[\d.,{_BLANKS}{_APOSTROPHES}]*\d[.,]?(?:[eE][+{_MINUS}]?\d+)?)(?P<scale>[kKMBT])?"
    rf"\s*(?P<after>%|[{_SIGNS}]|{_CODES})?"
)
_SCALES = {"k": "e3", "K": "e3", "M": "e6", "B": "e9", "T": "e12"}
_MOSTLY, _MANY = 0.9, 20  # a column is numeric from this share of numbers, or above this number of distinct ones


@dataclass(frozen=True)
class NumberStyle:
    """The spelling of the numbers in a column.

    decimal    the decimal mark, "." or ","
    thousands  between groups of three digits: ",", ".", " " (any blank), "'" (any apostrophe) or "" for none
    currency   the only currency that may stand before or behind a number, "" for none
    percent    whether each number is a percentage; 12% is read as 12
    scaled     whether letters behind numbers multiply them: K 1e3, M 1e6, B 1e9, T 1e12
    accounts   whether numbers in parentheses are negative
    """

    decimal: str = "."
    thousands: str = ""
    currency: str = ""
    percent: bool = False
    scaled: bool = False
    accounts: bool = False

    def read(self, cell: str) -> str | None:
        """The number in a cell in the spelling of Python, None for a cell that is no number of this style."""
        found = _parts(cell)
        if found is None:
            return None
        sign, body, currency, percent, scale, is_account = found
        if (scale and not self.scaled) or (is_account and not self.accounts):
            return None
        if percent != self.percent or currency not in ("", self.currency):
            return None
        if _body_of(self.decimal, self.thousands).fullmatch(body) is None:
            return None
        for mark in _marks_of(self.thousands):
            body = body.replace(mark, "")
        return sign + body.replace(self.decimal, ".").replace("\u2212", "-") + scale

    @property
    def is_plain(self) -> bool:
        """Whether Python reads these numbers as they are."""
        return self == NumberStyle()


_STYLES = [
    NumberStyle(decimal, thousands)
    for thousands, decimal in product(("", ",", ".", " ", "'"), (".", ","))
    if decimal != thousands
]


def _parts(cell: str) -> tuple[str, str, str, bool, str, bool] | None:
    """The parts of a number, None for a text.

    Sign, digits with their marks, currency, whether a percent sign follows, the exponent of a scale letter, whether the
    number is in parentheses.
    """
    is_account = cell[:1] == "(" and cell[-1:] == ")"
    found = _CELL.fullmatch(cell[1:-1].strip() if is_account else cell)
    if found is None:
        return None
    sign, before, inner, body, after = found.group("sign", "before", "inner", "body", "after")
    percent = after == "%"
    scale = _SCALES.get(found.group("scale") or "", "")
    if (sign and inner) or (before and after) or (is_account and (sign or inner)) or (scale and "e" in body.lower()):
        return None
    minus = "-" if is_account or ((sign or inner or "") in ("-", "\u2212") and (sign or inner)) else ""
    return minus, body, before or ("" if percent else after or ""), percent, scale, is_account


def _are_scaled(texts: Iterable[str], parts: Mapping[str, tuple[str, str, str, bool, str, bool]]) -> bool:
    """Whether letters behind numbers multiply them, as decimals, a currency, or K beside M show: 12B may be a code."""
    scaled = [text for text in texts if parts[text][4]]
    kinds = {parts[text][4] for text in scaled}
    return {"e3", "e6"} <= kinds or any(parts[text][2] or re.search(r"[.,]", parts[text][1]) for text in scaled)


def _marks_of(thousands: str) -> str:
    return {" ": _BLANKS, "'": _APOSTROPHES}.get(thousands, thousands)


@lru_cache
def _body_of(decimal: str, thousands: str) -> re.Pattern[str]:
    exponent, mark = rf"(?:[eE][+{_MINUS}]?\d+)?", re.escape(decimal)
    plain = rf"(?:\d+(?:{mark}\d*)?|{mark}\d+){exponent}"
    if not thousands:
        return re.compile(plain)
    groups = "|".join(rf"[1-9]\d{{0,2}}(?:{re.escape(one)}\d{{3}})+" for one in _marks_of(thousands))
    if thousands == ",":
        groups += r"|[1-9]\d?(?:,\d{2})+,\d{3}"  # lakh and crore: 12,34,567
    return re.compile(rf"(?:{groups})(?:{mark}\d*)?|{plain}")


@dataclass(frozen=True)
class NumberReading:
    """The styles in which most cells of a column are numbers.

    styles  those that give different numbers, or a single one; () for a column of texts
    cell    a cell whose numbers differ, or else one with a point or a comma, "" if there is none
    wrong   the first plain number that is none in `styles`
    """

    styles: tuple[NumberStyle, ...] = ()
    cell: str = ""
    wrong: str = ""

    def decimals(self) -> set[str]:
        """The possible decimal marks of the column."""
        return {style.decimal for style in self.styles}

    def style(self, decimal: str) -> NumberStyle | None:
        """The style in a file with this decimal mark; None for texts, and for two styles of which neither has it."""
        if len(self.styles) == 1:
            only = self.styles[0]
            return only if self.cell else replace(only, decimal=decimal)
        return next((style for style in self.styles if style.decimal == decimal), None)


def reading_of(
    texts: Mapping[str, int], settings: NumberStyle | None = None, is_auto: tuple[bool, bool] = (True, True)
) -> NumberReading:
    """How the cells of a column are read as numbers.

    texts     text -> number of cells with it, without missing values
    settings  the marks that the user sets
    is_auto   whether decimal mark and thousands mark are to be found
    """
    parts = {text: found for text in texts if (found := _parts(text)) is not None}
    scaled = _are_scaled(parts, parts)
    if not scaled:
        parts = {text: found for text, found in parts.items() if not found[4]}
    accounts = any(found[5] for found in parts.values())
    if accounts and not any(found[5] and (found[2] or re.search(r"[.,]", found[1])) for found in parts.values()):
        parts = {text: found for text, found in parts.items() if not found[5]}  # (3): a footnote or a rank
    if not parts:
        return NumberReading()
    currencies = {found[2] for found in parts.values()} - {""}
    percents = {found[3] for found in parts.values()}
    currency = next(iter(currencies)) if len(currencies) == 1 else ""
    allowed = [
        replace(style, currency=currency, percent=percents == {True}, scaled=scaled, accounts=accounts)
        for style in _STYLES
        if settings is None
        or ((is_auto[0] or style.decimal == settings.decimal) and (is_auto[1] or style.thousands == settings.thousands))
    ]
    read = {style: {text: value for text in parts if (value := style.read(text)) is not None} for style in allowed}
    most = max(len(values) for values in read.values()) if read else 0
    best = [style for style in allowed if len(read[style]) == most]
    if not most:
        return NumberReading()
    numbers = read[best[0]]
    share = sum(texts[text] for text in numbers) / sum(texts.values())
    if share < _MOSTLY and len(numbers) <= _MANY:
        return NumberReading()
    return _reading(best, read, parts)


def _reading(
    best: Sequence[NumberStyle], read: Mapping[NumberStyle, Mapping[str, str]], parts: Iterable[str]
) -> NumberReading:
    kept: list[NumberStyle] = []
    differing = ""
    for style in best:
        other = next((one for one in kept if _same(read[one], read[style])), None)
        if other is None:
            if kept:
                differing = differing or _difference(read[kept[0]], read[style])
            kept.append(style)
    numbers = read[kept[0]]
    wrong = next((text for text in parts if text not in numbers and number_in(text) is not None), "")
    shown = next((text for text in numbers if "." in text or "," in text), "")
    return NumberReading(tuple(kept), differing or shown, wrong)


def _same(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return one.keys() == other.keys() and all(float(one[text]) == float(other[text]) for text in one)


def _difference(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    return next((text for text in one if text not in other or float(one[text]) != float(other[text])), "")


def decimal_of(readings: Iterable[NumberReading]) -> str:
    """The decimal mark that a file shows: that of most columns that have only one; "" if none has."""
    votes = {".": 0, ",": 0}
    for reading in readings:
        found = reading.decimals()
        if len(found) == 1 and reading.cell:
            votes[found.pop()] += 1
    if votes["."] == votes[","] == 0:
        return ""
    return "," if votes[","] > votes["."] else "."
