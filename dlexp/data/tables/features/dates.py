"""Dates and times in texts: ISO 8601, day first or month first, with English month names, with time zones.

A moment with a time zone is converted to UTC; one without is kept as it is. Year-month (2024-05) is its first day. A
year of two digits is 1969 to 2068, as in POSIX.

Symbols: N cells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

ORDERS = ("day-first", "month-first")

_CLOCK = r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:\s?([AaPp])\.?[Mm]\.?)?"
_ZONE = (
    r"(?:\s?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?|[A-Za-z]{2,5}|[A-Z][A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+)(\[[A-Za-z0-9_/+-]+\])?)?"
)
_REST = rf"(?:(?:[Tt]|,?\s+){_CLOCK}{_ZONE})?"
_ISO = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_REST}", re.ASCII)
_NUMERIC = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}|\d\d){_REST}", re.ASCII)
_DAY_MONTH = re.compile(
    rf"(?:[A-Za-z]{{3,9}},?\s)?(\d{{1,2}})(?:st|nd|rd|th|\.)?[ -]([A-Za-z]{{3,9}})\.?,?[ -](\d{{4}}|\d\d){_REST}",
    re.ASCII,
)
_MONTH_DAY = re.compile(
    rf"(?:[A-Za-z]{{3,9}},?\s)?([A-Za-z]{{3,9}})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}}){_REST}", re.ASCII
)
_YEAR_MONTH = re.compile(r"((?:19|20)\d\d)[-/](0[1-9]|1[0-2])", re.ASCII)
_TIME = re.compile(_CLOCK, re.ASCII)
_PLAIN = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?", re.ASCII)  # read by NumPy
_DIGITS = re.compile(r"(?:19|20)\d{6}", re.ASCII)  # 20240501, where a column is declared a date
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONG = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november")
_WORDS = {word: n for words in (_MONTHS, (*_LONG, "december")) for n, word in enumerate(words, 1)} | {"sept": 9}
_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86_400 * 10**6
_PIVOT = 69  # two-digit years from here are of the 20th century
_SECONDS, _MILLISECONDS = 10**8, 10**11  # smallest size of a number that counts seconds or milliseconds since 1970


@dataclass(frozen=True)
class Moment:
    """A date with or without a time, or a time of day.

    at       microseconds since 1970, or since midnight
    is_time  whether it is a time of day
    zone     the time zone in the text, from which `at` was converted to UTC; "" if there is none
    """

    at: int
    is_time: bool = False
    zone: str = ""


def moment_in(text: str, order: str = "") -> Moment | None:
    """The moment in a text, None if there is none.

    order  `day-first` or `month-first` for dates such as 03/04/2024; "" reads those that have only one meaning
    """
    if not text[:1].isdigit() and not text[:1].isalpha():
        return None
    found = _TIME.fullmatch(text)
    if found is not None:
        seconds = _clock(found.groups())
        return None if seconds is None or seconds >= _DAY else Moment(seconds, is_time=True)
    found = _ISO.fullmatch(text)
    if found is not None:
        year, _, month, day, *rest = found.groups()
        return _moment(int(year), int(month), int(day), rest)
    found = _NUMERIC.fullmatch(text)
    if found is not None:
        return _numeric(found, order)
    found = _DAY_MONTH.fullmatch(text)
    if found is not None:
        day, name, year, *rest = found.groups()
        return _moment(_year(year), _WORDS.get(name.lower(), 0), int(day), rest)
    found = _MONTH_DAY.fullmatch(text)
    if found is not None:
        name, day, year, *rest = found.groups()
        return _moment(int(year), _WORDS.get(name.lower(), 0), int(day), rest)
    found = _YEAR_MONTH.fullmatch(text)
    return None if found is None else _moment(int(found[1]), int(found[2]), 1, [])


def orders_of(text: str) -> tuple[str, ...]:
    """The orders in which a text is a date: both for 03/04/2024, one for 31/04/2024 and 03.04.2024; () for other texts.

    With dots, the day comes first wherever that is a date.
    """
    found = _NUMERIC.fullmatch(text)
    if found is None:
        return ()
    orders = tuple(order for order in ORDERS if moment_in(text, order) is not None)
    return orders[:1] if found[2] == "." else orders


def is_ambiguous(text: str) -> bool:
    """Return whether a text is a date in both orders, and another one in each."""
    return len(orders_of(text)) > 1 and moment_in(text, "day-first") != moment_in(text, "month-first")


def moment_of_digits(text: str) -> Moment | None:
    """The moment that a number stands for where a column is declared a date: 20240501, or seconds since 1970."""
    if _DIGITS.fullmatch(text):
        return _moment(int(text[:4]), int(text[4:6]), int(text[6:]), [])
    try:
        number = float(text)
    except ValueError:
        return None
    if not _SECONDS <= abs(number) < _MILLISECONDS * 1000:
        return None
    return Moment(round(number * (10**6 if abs(number) < _MILLISECONDS else 1000)), zone="UTC")


def plain_moments(texts: Sequence[str]) -> NDArray[np.datetime64] | None:
    """(N,) moments of ISO texts without a zone, faster than `moment_in`; None if one has another format."""
    if not all(map(_PLAIN.fullmatch, texts)):
        return None
    try:
        return np.array(list(texts), dtype="datetime64[us]")
    except ValueError:  # no such day
        return None


def unknown_zone(text: str) -> str:
    """The abbreviation of a time zone in a text, such as PST, that is not unique; "" if there is none."""
    for pattern in (_ISO, _NUMERIC, _DAY_MONTH, _MONTH_DAY):
        found = pattern.fullmatch(text)
        if found is not None and (zone := found.groups()[-2]) and _zone(zone) is None:
            return str(zone)
    return ""


def _numeric(found: re.Match[str], order: str) -> Moment | None:
    first, mark, second, year, *rest = found.groups()
    if len(year) == 2 and mark == "-":
        return None  # a code
    if not order and len(year) == 2 and mark == "." and len(first) + len(second) < 4:
        return None  # a version, unless its column decides (`orders_of`)
    day_first = _moment(_year(year), int(second), int(first), rest)
    month_first = _moment(_year(year), int(first), int(second), rest)
    if order:
        return day_first if order == "day-first" else month_first
    if mark == "." and day_first is not None:
        return day_first
    if day_first is None or month_first is None or day_first == month_first:
        return day_first or month_first
    return None


def _year(text: str) -> int:
    return int(text) if len(text) == 4 else int(text) + (1900 if int(text) >= _PIVOT else 2000)


def _moment(year: int, month: int, day: int, rest: Sequence[str | None]) -> Moment | None:
    """`rest` is the clock, the zone and its name in brackets; [] for a day."""
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    if not rest or rest[0] is None:
        return Moment(days * _DAY)
    clock = _clock(rest[:5])
    if clock is None:
        return None
    at, zone = days * _DAY + clock, rest[5]
    if not zone:
        return Moment(at)
    place = _zone(zone)
    if place is None:
        return None
    try:
        offset = (datetime(1970, 1, 1) + timedelta(microseconds=at)).replace(tzinfo=place).utcoffset()
    except OverflowError:
        return None
    return Moment(
        at - (offset or timedelta()) // timedelta(microseconds=1), zone="UTC" if zone in ("Z", "GMT") else zone
    )


def _clock(parts: Sequence[str | None]) -> int | None:
    """Microseconds since midnight, of hour, minute, second, fraction and a or p; 24:00 is the end of the day."""
    hour, minute, second = (int(part or 0) for part in parts[:3])
    micros = int((parts[3] or "").ljust(6, "0")[:6])
    if parts[4]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if parts[4] in "pP" else 0)
    total = ((hour * 60 + minute) * 60 + second) * 10**6 + micros
    return total if minute < 60 and second < 60 and (hour < 24 or total == _DAY) else None


@cache
def _zone(name: str) -> tzinfo | None:
    """The time zone of an offset or a name of the IANA database; None for abbreviations other than UTC, GMT and Z."""
    if name in ("Z", "UTC", "GMT"):
        return UTC
    if name[0] in "+-":
        digits = name[1:].replace(":", "").ljust(4, "0")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        return timezone(-offset if name[0] == "-" else offset) if offset < timedelta(days=1) else None
    if "/" not in name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
