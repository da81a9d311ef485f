"""Text of cells: canonical spellings of values, and spellings of missing values.

Different programs spell the same value in several ways (1 and 1.0, True and true, 2024-05-01 and
2024-05-01 00:00:00). Training and prediction compare cells by `identity`, for all file formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from itertools import chain

import numpy as np
from numpy.typing import NDArray

# The default of data.missing_values, in addition to the empty cell (conf/data/_table.yaml).
MISSING = (
    *("NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "NaT", "NULL", "null", "None", "(null)", "\\N"),
    *("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "?", "??", "-", "--", "---", ".", "..", "n.a.", "N.A."),
)

DEFAULT = "default"  # in data.missing_values: all of MISSING

_EXACT = 2**53  # whole numbers up to this are exact in float64
_LEADING_ZERO = re.compile(r"[+-]?0\d")
_BOOLEANS = ("true", "false")
_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)? ?(Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
_TIME = re.compile(r"(\d\d:\d\d:\d\d)(?:\.(\d+))?", re.ASCII)
# Durations as pandas writes them: "1 days 02:00:00.5", and negative ones as "-1 days +22:00:00".
_DURATION = re.compile(r"(-?\d+) days?(?: ([+-]?)(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?)?", re.ASCII)

_CURRENCY = r"[$\u20ac\u00a3\u00a5]"

# Formatted numbers: regular expression, and the name of the format.
_OTHER_NUMBERS = (
    (
        re.compile(r"[+\-\u2212]?(?:\d{1,3}(?:[,'\u2019 \u00a0\u202f]\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+)"),
        "a thousands separator",
    ),
    (re.compile(r"[+\-\u2212]?\d+(?:[.,]\d+)?\s*[%\u2030]"), "a percent sign"),
    (re.compile(r"[+\-]?\d*,\d+(?:[eE][+\-]?\d+)?"), "a decimal comma"),
    (re.compile(rf"[+\-]?{_CURRENCY}\s*[+\-]?\d[\d.,' ]*|[+\-]?\d[\d.,' ]*{_CURRENCY}"), "a currency sign"),
    (re.compile(r"\(\d[\d.,]*\)"), "parentheses"),
    (re.compile(r"\u2212\d+(?:\.\d+)?"), "a typographic minus sign"),
    (re.compile(r"[+\-]?\d+(?:_\d+)+(?:\.\d+)?"), "underscores"),
)


def number_in(cell: str | None) -> float | None:
    """The number in a cell: a finite number, or the seconds of a duration; None for text.

    Words (nan, inf) and underscores, which Python accepts in numbers, are text.
    """
    if cell is None or "_" in cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        return _seconds(cell)
    return value if np.isfinite(value) else None


def has_leading_zero(cell: str) -> bool:
    """Return whether a number has leading zeros, as in codes: 01234 is not 1234."""
    return _LEADING_ZERO.match(cell) is not None


def cell_identity(cell: str) -> str:
    """The canonical spelling of a cell: equal exactly for cells with the same value.

    Numbers: 1, 1.0, +1 and 1e0 are "1"; whole numbers beyond 2**53 keep every digit; with a leading zero they are codes
    and stay unchanged. Booleans are lower case, midnight without a zone is its date, a timestamp with a zone is in UTC,
    and a time has no trailing zeros after its seconds.
    """
    value = None if has_leading_zero(cell) else number_in(cell)
    if value is not None:
        return _number_text(cell, value)
    if cell[:1].isdigit():
        return _moment(cell)
    lower = cell.lower()
    return lower if lower in _BOOLEANS else cell


def is_word(cell: str) -> bool:
    """Return whether a text is neither number, boolean, date nor time, and so has a single spelling."""
    if number_in(cell) is not None or cell.lower() in _BOOLEANS:
        return False
    return _STAMP.fullmatch(cell) is None and _TIME.fullmatch(cell) is None


def other_number(cell: str) -> str:
    """The format of a formatted number, such as `a percent sign`; "" for other texts."""
    if not any(letter.isdigit() for letter in cell):
        return ""
    return next((name for pattern, name in _OTHER_NUMBERS if pattern.fullmatch(cell)), "")


def is_sign(text: str) -> bool:
    """Return whether a text has neither letter nor digit, such as - or ?."""
    return not any(letter.isalnum() for letter in text)


class Marks:
    """The texts that mean "no value", compared by value: -999.0 also matches a cell -999.

    words  those of data.missing_values, the word `default` replaced by MISSING; the empty cell always matches
    found  those that have matched a cell so far
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        given = [word.strip() for word in words if word.strip()]
        whole = chain.from_iterable(MISSING if word == DEFAULT else (word,) for word in given)
        self.words = tuple(dict.fromkeys(whole))
        self.found: set[str] = set()
        self._texts = frozenset(self.words)
        self._numbers = {value: word for word in self.words if (value := number_in(word)) is not None}
        self._others = {cell_identity(word): word for word in self.words if _has_spellings(word)}

    def matches(self, cell: str, value: float | None) -> bool:
        """Return whether a stripped cell matches; `value` is its number."""
        word = cell if cell in self._texts else None
        if word is None and value is not None and self._numbers and not has_leading_zero(cell):
            word = self._numbers.get(value)
            if word is not None and abs(value) >= _EXACT and cell_identity(word) != cell_identity(cell):
                word = None  # whole numbers that are equal only in float64
        elif word is None and self._others:
            word = self._others.get(cell_identity(cell))
        if word is not None:
            self.found.add(word)
        return word is not None

    def short(self, texts: Iterable[str] = ()) -> list[str]:
        """The words and `texts`, with `default` for all of MISSING."""
        if not set(MISSING) <= set(self.words):
            return [*self.words, *texts]
        return [DEFAULT, *(word for word in self.words if word not in MISSING), *texts]

    def without_signs(self) -> Marks:
        """The marks with a letter or a digit; they share `found`."""
        other = Marks(word for word in self.words if not is_sign(word))
        other.found = self.found
        return other

    def among(self, values: NDArray[np.generic]) -> NDArray[np.bool_]:
        """(N,) whether each of the numbers `values` (N,) matches, compared in their own type."""
        marked = np.zeros(len(values), dtype=np.bool_)
        for value, word in self._numbers.items():
            if values.dtype.kind in "iu":
                whole = int(cell_identity(word)) if value == int(value) and not has_leading_zero(word) else None
                limits = np.iinfo(values.dtype)  # type: ignore[type-var]
                if whole is None or not limits.min <= whole <= limits.max:
                    continue
                hits = values == values.dtype.type(whole)
            else:
                with np.errstate(over="ignore"):
                    hits = values == values.dtype.type(value)
            if hits.any():
                self.found.add(word)
                marked |= hits
        return marked

    def unmatched(self) -> list[str]:
        """The words, except the defaults, that have matched no cell."""
        return [word for word in self.words if word not in self.found and word not in MISSING]


def _has_spellings(word: str) -> bool:
    """Return whether a text that is not a number may have other spellings."""
    return number_in(word) is None and (word.lower() in _BOOLEANS or word[:1].isdigit())


def _number_text(cell: str, value: float) -> str:
    if abs(value) < _EXACT:
        return str(int(value)) if value == int(value) else repr(value)
    try:
        exact = Decimal(cell)
    except InvalidOperation:  # a duration
        return repr(value)
    whole = int(exact)
    return str(whole) if exact == whole else format(exact, "f").rstrip("0")


def _seconds(cell: str) -> float | None:
    found = _DURATION.fullmatch(cell)
    if found is None:
        return None
    days, sign, hours, minutes, seconds, fraction = found.groups()
    within = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    nanoseconds = within * 10**9 + int((fraction or "").ljust(9, "0"))
    return (int(days) * 86_400 * 10**9 + (-nanoseconds if sign == "-" else nanoseconds)) / 10**9


def _moment(cell: str) -> str:
    """The canonical spelling of a date, a time or both; other texts unchanged."""
    found = _TIME.fullmatch(cell)
    if found is not None:
        return found[1] + _fraction(found[2])
    found = _STAMP.fullmatch(cell)
    if found is None or found[2] is None:
        return cell
    day, minute, second, fraction, zone = found.groups()
    second = second or "00"
    if zone is None:
        moment = f"{minute}:{second}{_fraction(fraction)}"
        return day if moment == "00:00:00" else f"{day} {moment}"
    try:
        local = datetime.fromisoformat(f"{day} {minute}:{second}")
        digits = zone[1:].replace(":", "").ljust(4, "0") if zone != "Z" else "0000"
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (-1 if zone[0] == "-" else 1)
        moment = str(local.replace(tzinfo=timezone(offset)).astimezone(UTC))
    except (ValueError, OverflowError):
        return cell
    return moment[: len("2024-05-01 00:00:00")] + _fraction(fraction) + "+00:00"


def _fraction(digits: str | None) -> str:
    significant = (digits or "").rstrip("0")
    return f".{significant}" if significant else ""
