"""Columns of formatted numbers, such as 1.200,50 or $3: the style of each column of a file, and its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from dlexp.data.tables.features.problems import ColumnProblem
from dlexp.data.tables.features.units import split_unit
from dlexp.data.tables.numerals import NumberReading, NumberStyle, decimal_of, reading_of
from dlexp.data.tables.raw_column import RawColumn
from dlexp.errors import DataError
from dlexp.text.quoting import setting

_AUTO = "auto"
_MOSTLY = 0.9  # share of cells with a number and a unit from which the others are mistakes
_WORDS = {".": "point", ",": "comma"}


def with_styles(
    columns: Mapping[str, RawColumn],
    decimal: str,
    set_decimal: str,
    set_thousands: str,
    refusal: Callable[..., DataError],
) -> tuple[dict[str, RawColumn], dict[str, NumberStyle], list[ColumnProblem]]:
    """(columns with formatted numbers as Python spells them, the style of each formatted column, problems).

    decimal      the decimal mark of the file, as its beginning shows it
    set_decimal, set_thousands  the settings of the user, or `auto`
    refusal      makes the error of a column whose numbers have two decimal marks, or another one than the user sets
    """
    readings = {name: column_reading(column, set_decimal, set_thousands) for name, column in columns.items()}
    shown = decimal_of(readings.values()) if set_decimal == _AUTO else ""
    found, styles = dict(columns), dict[str, NumberStyle]()
    problems: list[ColumnProblem] = []
    for name, reading in readings.items():
        style = reading.style(decimal) or (reading.style(shown) if shown else None)
        if style is None and columns[name].has_values and decimal != ".":
            style = NumberStyle(decimal)
        if style is None and set_decimal != _AUTO and column_reading(columns[name]).styles:
            problems.append(ColumnProblem(_other_mark(name, columns[name], set_decimal, refusal), name))
        if style is None or (style.is_plain and decimal == "."):
            continue
        if reading.wrong and style.read(reading.wrong) is None:
            problems.append(ColumnProblem(_two_marks(name, columns[name], reading, style, refusal), name, "category"))
            continue
        styles[name] = style
        found[name] = columns[name].styled(partial(read_with_unit, style))
    return found, styles, problems


def column_reading(column: RawColumn, set_decimal: str = _AUTO, set_thousands: str = _AUTO) -> NumberReading:
    """How the texts of a column are read as numbers; `NumberReading()` for a column whose file holds numbers."""
    if column.has_values:
        return NumberReading()
    codes, texts = column.present.codes, column.present.distinct
    counts = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
    is_auto = (set_decimal == _AUTO, set_thousands == _AUTO)
    wanted = NumberStyle("." if is_auto[0] else set_decimal, "" if is_auto[1] else set_thousands)
    found = {text: count for text, count in zip(texts, counts, strict=True) if count}
    reading = reading_of(found, wanted, is_auto)
    return reading if reading.styles else reading_of(_numbers_before_units(found), wanted, is_auto)


def _numbers_before_units(texts: Mapping[str, int]) -> dict[str, int]:
    """The numbers of cells such as `1.200,5 kg`, and how many cells have them; {} for a column of other texts."""
    found: dict[str, int] = {}
    for text, count in texts.items():
        parts = split_unit(text)
        if parts is not None:
            found[parts[0]] = found.get(parts[0], 0) + count
    return found if sum(found.values()) >= _MOSTLY * sum(texts.values()) else {}


def read_with_unit(style: NumberStyle, cell: str) -> str | None:
    """The number in a cell in the spelling of Python, with its unit; None for no number of this style."""
    number = style.read(cell)
    if number is not None:
        return number
    parts = split_unit(cell)
    number = None if parts is None else style.read(parts[0])
    return None if parts is None or number is None else f"{number} {parts[1]}"


def styles_of_rows(
    names: Sequence[str], columns: Sequence[RawColumn], trained: Mapping[str, NumberStyle], decimal: str, is_same: bool
) -> list[NumberStyle]:
    """The style of each column of other rows than those of training, by the first of them.

    trained  column -> style in the training file
    decimal  the decimal mark of this file, "" for a file that has none, whose texts are like those of training
    is_same  whether its form is that of the training file, so that its styles count where the rows may have either
    Otherwise the columns with a single reading decide, and if there is none, `decimal`. A currency or percent sign that
    the column did not have in training is none of its style.
    """
    found = []
    readings = [column_reading(column) for column in columns]
    shown = decimal if is_same else decimal_of(readings) or decimal
    for name, reading in zip(names, readings, strict=True):
        known = trained.get(name, NumberStyle(shown or "."))
        style = reading.style(known.decimal if is_same or not shown else shown) or next(iter(reading.styles), known)
        if style.decimal == known.decimal and not style.thousands:
            style = known
        found.append(
            replace(style, currency=known.currency, percent=known.percent, scaled=known.scaled, accounts=known.accounts)
        )
    return found


def _two_marks(
    name: str, column: RawColumn, reading: NumberReading, style: NumberStyle, refusal: Callable[..., DataError]
) -> DataError:
    row = int(np.argmax(column.spelled.codes == column.spelled.distinct.index(reading.wrong)))
    rule = f"numbers with a decimal {_WORDS[style.decimal]} ({reading.cell!r}) and another one ({reading.wrong!r})"
    remedy = f"Use one spelling, or set {setting('data.columns', {name: 'category'})}"
    return refusal(rule, column=name, row=row, remedy=remedy)


def _other_mark(name: str, column: RawColumn, mark: str, refusal: Callable[..., DataError]) -> DataError:
    cell = column_reading(column).cell
    rule = f"{cell!r} is no number with data.decimal={_WORDS[mark]}"
    return refusal(rule, column=name, remedy="Set data.decimal=auto data.thousands=auto")
