"""Cells of new rows, read as the columns of training were; unusable ones are reported row by row.

Symbols: N rows.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.features import dates
from dlexp.data.tables.features.encodings import DateCells, DateColumn, NumberColumn
from dlexp.data.tables.features.units import with_unit, without_unit
from dlexp.data.tables.mixed_column import special_in
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import number_in
from dlexp.runtime.rounding import LARGEST


def numbers_of(
    fit: NumberColumn, column: RawColumn, problems: list[str], ignored: Counter[str], has_percent: bool = False
) -> NDArray[np.float64]:
    """(N,) float64, NaN for missing and invalid numbers.

    problems  (N,) to which the reasons for unusable rows are added
    ignored   column -> number of cells that are missing because they are not numbers, which is counted
    has_percent  whether the cells of training have a percent sign
    """
    numbers, bad = column.numbers
    if fit.unit and bad.any():
        table = np.array([*(without_unit(text, fit.unit) for text in column.present.distinct), None], dtype=np.float64)
        numbers = table[column.present.codes]
        bad = np.isnan(numbers) & (column.present.codes >= 0)
    if fit.loose and not column.has_values:
        bad = np.append([_unit_of(text) not in ("", fit.unit) for text in column.present.distinct], False)[
            column.present.codes
        ]
        ignored[fit.name] += int((np.isnan(numbers) & (column.present.codes >= 0) & ~bad).sum())
        numbers = np.where(bad, np.nan, numbers)
    wrong = bad | (np.abs(numbers) > LARGEST)
    for place in np.flatnonzero(wrong).tolist():
        cell = column.cell(place)
        what = "is too large"
        if bad[place]:
            unit = _unit_of(cell)
            is_bare = has_percent and number_in(cell) is not None
            lacks = ", which lacks the percent sign of training" if is_bare else ""
            what = f"is not a finite number{lacks or special_in(cell)}" + (
                f", which has the unit {unit}" if unit else ""
            )
        problems[place] = problems[place] or f"column {fit.name!r}: {cell!r} {what}"
    return np.where(wrong, np.nan, numbers)


def moments_of(fit: DateColumn, column: RawColumn, problems: list[str], ignored: Counter[str]) -> DateCells:
    """The dates of N cells, NaT for missing and invalid ones; see `numbers_of`."""
    texts, codes = column.present.distinct, column.present.codes
    ticks = np.full(len(texts) + 1, np.iinfo(np.int64).min, dtype=np.int64)
    for code in np.unique(codes[codes >= 0]).tolist():
        moment = dates.moment_in(texts[code], fit.order)
        if moment is None and fit.loose:
            moment = dates.moment_of_digits(texts[code])
        why = _mistake(fit, texts[code], moment)
        if moment is not None and not why:
            ticks[code] = moment.at
        elif fit.loose and moment is None:
            ignored[fit.name] += int((codes == code).sum())
        else:
            for place in np.flatnonzero(codes == code).tolist():
                problems[place] = problems[place] or f"column {fit.name!r}: {texts[code]!r} {why}"
    kind = "timedelta64[us]" if fit.is_time else "datetime64[us]"
    return DateCells(ticks[codes].view(kind), fit.order, fit.zoned)


def _unit_of(text: str) -> str:
    found = with_unit(text)
    return "" if found is None else found[1]


def _mistake(fit: DateColumn, text: str, moment: dates.Moment | None) -> str:
    """Why a cell is not like those of training, a phrase that follows it; "" if it is."""
    kind = "time of day" if fit.is_time else "date"
    if moment is None:
        if dates.is_ambiguous(text):
            return "may have the day or the month first, which training does not tell. Write it as 2024-05-31"
        order = f" with the {fit.order.removesuffix('-first')} first" if fit.order else ""
        return f"is not a {kind}{order if dates.orders_of(text) else ''}"
    if moment.is_time != fit.is_time:
        return f"is not a {kind}"
    if bool(moment.zone) != fit.zoned:
        return "has no time zone, as training had" if fit.zoned else "has a time zone, which training had not"
    return ""
