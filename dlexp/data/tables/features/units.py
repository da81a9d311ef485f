"""Numbers with a unit, such as `12 kg`."""

from __future__ import annotations

import re

from dlexp.data.tables.spelling import number_in

_NUMBER = r"([+\-]?(?:\d[\d., \u00a0\u202f'\u2019]*\d|\d)[.,]?(?:[eE][+\-]?\d+)?|[+\-]?\.\d+)"
_CELL = re.compile(
    _NUMBER + r"(\s*)([A-Za-z\u00b5\u03bc\u00b0\u2103\u2109\u03a9][A-Za-z\u00b5\u03a9\u00b0\u00b2\u00b3^/0-9.]{0,11})"
)
# Units that may follow a number without a blank: letters behind a number are otherwise codes, as in 12A.
_KNOWN = frozenset(
    [
        "kg",
        "mg",
        "g",
        "lb",
        "lbs",
        "oz",
        "km",
        "cm",
        "mm",
        "nm",
        "mi",
        "ft",
        "in",
        "yd",
        "ms",
        "sec",
        "secs",
        "s",
        "min",
        "mins",
        "h",
        "hr",
        "hrs",
        "d",
        "day",
        "days",
        "week",
        "weeks",
        "month",
        "months",
        "yr",
        "yrs",
        "year",
        "years",
        "kW",
        "kWh",
        "W",
        "MW",
        "Hz",
        "kHz",
        "MHz",
        "GHz",
        "KB",
        "MB",
        "GB",
        "TB",
        "kB",
        "l",
        "L",
        "ml",
        "mL",
        "cl",
        "mph",
        "kmh",
        "km/h",
        "kph",
        "m/s",
        "bar",
        "mbar",
        "psi",
        "Pa",
        "kPa",
        "hPa",
        "MPa",
        "J",
        "kJ",
        "kcal",
        "cal",
        "V",
        "mV",
        "A",
        "mA",
        "Ah",
        "mAh",
        "ha",
        "m",
        "m2",
        "m3",
        "m²",
        "m³",
        "km2",
        "km²",
        "sqft",
        "sqm",
        "ft2",
        "°C",
        "°F",
        "°",
        "℃",
        "℉",
        "px",
        "dpi",
        "rpm",
        "hp",
        "cc",
        "ppm",
    ]
)
_SHORT = 2  # letters up to which an unknown word behind a blank may be part of a code


def split_unit(cell: str) -> tuple[str, str] | None:
    """(number in any spelling, unit) of a cell such as `1.200,5 kg`, `5.5cm` or `4 cylinders`; None for other texts."""
    found = _CELL.fullmatch(cell)
    if found is None:
        return None
    number, blank, unit = found.groups()
    if unit not in _KNOWN and (not blank or len(unit) <= _SHORT or any(sign.isdigit() for sign in unit)):
        return None
    return number, unit


def with_unit(cell: str) -> tuple[float, str] | None:
    """(number, unit) of a cell such as `12 kg`, with the number in the spelling of Python; None for other texts."""
    found = split_unit(cell)
    value = None if found is None else number_in(found[0])
    return None if found is None or value is None else (value, found[1])


def without_unit(cell: str, unit: str) -> float | None:
    """The number in a cell with or without `unit`; None for other texts."""
    value = number_in(cell)
    if value is not None or not unit:
        return value
    found = with_unit(cell)
    return found[0] if found is not None and found[1] == unit else None
