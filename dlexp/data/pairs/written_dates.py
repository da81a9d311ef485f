"""Dates as people write them, in seven formats of which none can be read in two ways by its punctuation."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

_FIRST, _LAST = date(1900, 1, 1), date(2099, 12, 31)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NUM_FORMATS = 7


def dated() -> list[date]:
    """Every day from 1900 to 2099, in order."""
    return [_FIRST + timedelta(days) for days in range((_LAST - _FIRST).days + 1)]


def draw_spelling(day: date, rng: np.random.Generator) -> str:
    """A day in a format that is drawn."""
    return in_format(day, int(rng.integers(NUM_FORMATS)))


def in_format(day: date, number: int) -> str:
    """A day in format number 0 to 6; with points the day comes first, with slashes the month."""
    month, short = _MONTHS[day.month - 1], _MONTHS[day.month - 1][:3]
    return (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{day.day:02}.{day.month:02}.{day.year}",
        f"{day.month:02}/{day.day:02}/{day.year}",
        f"{_DAYS[day.weekday()][:3]}, {day.day} {short} {day.year}",
        f"{day.day}{_ordinal(day.day)} of {month} {day.year}",
        f"{day.year} {short} {day.day:02}",
    )[number]


def _ordinal(number: int) -> str:
    if 10 < number < 20:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
