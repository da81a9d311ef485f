"""Kinds of columns, derived from their cells or declared with data.columns: numbers, categories and dates.

Columns that describe nothing are left out: free texts, and identifiers, which differ in nearly every row.

Symbols: N rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.features import dates
from dlexp.data.tables.features.encodings import Column, DateCells, TextCells
from dlexp.data.tables.features.units import with_unit, without_unit
from dlexp.data.tables.labels import Refusal, labels_of
from dlexp.data.tables.mixed_column import numeric_problem, texts_note
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import number_in, other_number
from dlexp.errors import DataError
from dlexp.runtime.rounding import LARGEST

KINDS = ("number", "category", "date", *dates.ORDERS, "drop")

_LOOKED = 20  # texts that are read as dates before all are
_MOSTLY = 0.9  # share of cells from which a column has a kind and its other cells are mistakes
_HALF = 0.5  # share of cells that a declared kind must fit
_FEWEST = 40  # cells below which texts that differ in every row may be categories
_WORDS = 3.0  # mean number of words from which texts are free texts
_DISTINCT = 0.5  # share of distinct cells from which texts of many words are free texts
_ID_NAME = re.compile(r"(?:.*[_\- .])?(?:id|uuid|guid)|.*[a-z0-9](?:Id|ID|UUID)", re.ASCII)
_ANY_CASE_ID = re.compile(r"(?:.*[_\- .])?(?:id|uuid|guid)", re.IGNORECASE | re.ASCII)
_CLOCK = re.compile(r"[+-]?\d{1,4}:\d{1,2}(?::\d\d)?(?:\.\d+)?", re.ASCII)
_NAMED = 3  # cells listed in a note

TEXTS, IDS = "has free texts", "differs in nearly every row, as an identifier"


@dataclass(frozen=True)
class ColumnReading:
    """What a column was read as.

    column    the cells, None if the column cannot be read or is left out
    problem   the error, None if there is none
    suggested the kind of data.columns that solves the problem
    left_out  why the column is left out, a phrase that follows its name; "" if it is not
    notes     messages to the user
    unit      the unit behind each number
    loose     whether cells of another kind are missing ones
    """

    column: Column | None = None
    problem: DataError | None = None
    suggested: str = ""
    left_out: str = ""
    notes: tuple[str, ...] = ()
    unit: str = ""
    loose: bool = False


@dataclass(frozen=True)
class DistinctTexts:
    """The distinct texts of a column.

    raw     the column
    used    the numbers of the texts that occur, in the order of `distinct`
    counts  how often each text occurs
    """

    raw: RawColumn
    used: list[int] = field(init=False)
    counts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        """Count the texts."""
        codes = self.raw.present.codes
        counts = np.bincount(codes[codes >= 0], minlength=len(self.raw.present.distinct))
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "used", np.flatnonzero(counts).tolist())

    @property
    def texts(self) -> list[str]:
        """The texts that occur."""
        distinct = self.raw.present.distinct
        return [distinct[number] for number in self.used]

    def share(self, chosen: Sequence[bool]) -> float:
        """The share of cells whose text, one of `texts`, is chosen."""
        counts = self.counts[self.used]
        return float(counts[np.array(chosen, dtype=bool)].sum() / max(1, counts.sum()))

    def first(self, chosen: Sequence[bool]) -> tuple[int, str, int]:
        """(the row of the first cell whose text is chosen, the text, the number of other such cells)."""
        some = np.array(self.used)[np.array(chosen, dtype=bool)]
        is_wanted = np.zeros(len(self.raw.present.distinct) + 1, dtype=np.bool_)
        is_wanted[some] = True
        row = int(np.argmax(is_wanted[self.raw.present.codes]))
        return row, self.raw.cell(row), int(self.counts[some].sum()) - 1


def read_column(
    name: str, raw: RawColumn, declared: str, refusal: Refusal, categories: tuple[str, int]
) -> ColumnReading:
    """The column as numbers, categories or dates.

    Args:
        name: Its name.
        raw: Its cells.
        declared: Its kind in data.columns, "" to derive it.
        refusal: Makes the error for a cell.
        categories: data.rare and data.max_categories.

    """
    if declared == "category":
        return _categories(name, raw, refusal, categories, keep=True)
    if declared == "number":
        return _declared_numbers(name, raw, refusal)
    if declared:
        return _dates(name, DistinctTexts(raw), "" if declared == "date" else declared, refusal, is_declared=True)
    cells = raw.cells()
    if cells.dtype != object:
        return _numbers(name, cells, raw, refusal)
    known = DistinctTexts(raw)
    if _may_be_dates(known):
        found = _dates(name, known, "", refusal, is_declared=False)
        if found.column is not None or found.problem is not None:
            return found
    problem = _clocks(known, refusal) or _units(known, refusal) or _mixed(known, refusal)
    if problem is not None:
        return problem
    found = _categories(name, raw, refusal, categories, keep=False)
    notes = texts_note(raw, name)
    return ColumnReading(found.column, found.problem, found.suggested, found.left_out, (*notes, *found.notes))


def too_large(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """The rows of numbers that are too large for a finite mean and deviation."""
    if len(numbers) and numbers.min() >= -LARGEST and numbers.max() <= LARGEST:  # not so with a NaN
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.abs(numbers) > LARGEST)


def is_date_column(raw: RawColumn) -> bool:
    """Return whether all cells of a column are dates or times."""
    if raw.has_values:
        return False
    known = DistinctTexts(raw)
    return _may_be_dates(known) and all(_is_date(text) for text in known.texts)


def _numbers(name: str, numbers: NDArray[np.float64], raw: RawColumn, refusal: Refusal) -> ColumnReading:
    large = too_large(numbers)
    if len(large):
        value, remedy = numbers[large[0]], f"Correct it, or use another unit (at most {LARGEST:g})."
        rule = f"the number {value} is too large"
        if np.isinf(value):
            rule = f"must be a finite number, got {value}"
            remedy = f"Correct it, set {raw.marking([str(value)])} to read it as missing"
        return ColumnReading(problem=refusal(rule, row=int(large[0]), remedy=remedy), suggested="drop")
    if _is_id(name, numbers):
        return ColumnReading(left_out=IDS)
    return ColumnReading(numbers)


def _is_id(name: str, numbers: NDArray[np.float64]) -> bool:
    """Return whether whole numbers, all different, have the name of an identifier."""
    if not (_ID_NAME.fullmatch(name) or _ANY_CASE_ID.fullmatch(name)) or len(numbers) < _FEWEST:
        return False
    present = numbers[~np.isnan(numbers)]
    if not len(present) or (present != np.floor(present)).any():
        return False
    return len(np.unique(present)) >= _MOSTLY * len(present)


def _declared_numbers(name: str, raw: RawColumn, refusal: Refusal) -> ColumnReading:
    """Numbers; with one unit without it, and other texts are missing."""
    cells = raw.cells()
    if cells.dtype != object:
        return ColumnReading(cells, problem=None) if not len(too_large(cells)) else _numbers(name, cells, raw, refusal)
    known = DistinctTexts(raw)
    units = {found[1] for text in known.texts if (found := with_unit(text)) is not None}
    unit = next(iter(units)) if len(units) == 1 else ""
    values = [without_unit(text, unit) for text in known.texts]
    is_text = [value is None for value in values]
    if known.share(is_text) >= _HALF:
        row, cell, _ = known.first(is_text)
        rule = f"data.columns says number, but most cells are none, such as {cell!r}"
        if len(units) > 1:
            rule = f"data.columns says number, but the cells have several units: {', '.join(sorted(units)[:_NAMED])}"
        return ColumnReading(problem=refusal(rule, row=row), suggested="category")
    table = np.full(len(raw.present.distinct) + 1, np.nan)
    table[known.used] = [np.nan if value is None else value for value in values]
    notes = [f"column {name!r}: the unit {unit} was removed"] if unit else []
    numbers = table[raw.present.codes]
    read = _numbers("", numbers, raw, refusal)
    notes += _missing_note(name, known, is_text, "numbers")
    return ColumnReading(read.column, read.problem, read.suggested, notes=tuple(notes), unit=unit, loose=True)


def _missing_note(name: str, known: DistinctTexts, chosen: Sequence[bool], kind: str) -> list[str]:
    if not any(chosen):
        return []
    texts = [text for text, is_chosen in zip(known.texts, chosen, strict=True) if is_chosen]
    count = int(known.counts[known.used][np.array(chosen)].sum())
    named = ", ".join(map(repr, texts[:_NAMED])) + (", ..." if len(texts) > _NAMED else "")
    what = "cell is" if count == 1 else "cells are"
    return [f"column {name!r}: {count:,} {what} missing, not {kind} ({named})"]


def _units(known: DistinctTexts, refusal: Refusal) -> ColumnReading | None:
    """The problem of a column of numbers with units; None for other columns."""
    found = [with_unit(text) for text in known.texts]
    is_number = [one is not None or number_in(text) is not None for one, text in zip(found, known.texts, strict=True)]
    if not any(found) or known.share(is_number) < _MOSTLY:
        return None
    units = list(dict.fromkeys(one[1] for one in found if one is not None))
    row, cell, _ = known.first([one is not None for one in found])
    named = f"the unit {units[0]}" if len(units) == 1 else f"units ({', '.join(units[:_NAMED])})"
    rule = f"numbers with {named}, such as {cell!r}"
    if len(units) == 1:
        return ColumnReading(problem=refusal(rule, row=row, remedy="Read them without it"), suggested="number")
    remedy = "Write them in one unit, or read them as categories"
    return ColumnReading(problem=refusal(rule, row=row, remedy=remedy), suggested="category")


def _clocks(known: DistinctTexts, refusal: Refusal) -> ColumnReading | None:
    """The problem of a column such as 75:10, which is no time of day; None for other columns."""
    is_clock = [_CLOCK.fullmatch(text) is not None for text in known.texts]
    if known.share(is_clock) < _MOSTLY:
        return None
    row, cell, _ = known.first(
        [found and not _is_date(text) for found, text in zip(is_clock, known.texts, strict=True)]
    )
    rule = f"{cell!r} is no time of day; it may be a duration, a score or a ratio"
    remedy = "Write it as one number, such as seconds, or drop the column"
    return ColumnReading(problem=refusal(rule, row=row, remedy=remedy), suggested="drop")


def _mixed(known: DistinctTexts, refusal: Refusal) -> ColumnReading | None:
    """The problem of a numeric column with texts; None for other columns."""
    wrong = [number_in(text) is None for text in known.texts]
    is_other = any(other_number(text) for text in known.texts)
    kind = "category" if is_other or known.share(wrong) >= _HALF else "number"
    todo = "read such cells as missing" if kind == "number" else "read the column as categories"
    error = numeric_problem(known.raw, refusal, todo)
    return None if error is None else ColumnReading(problem=error, suggested=kind)


def _may_be_dates(known: DistinctTexts) -> bool:
    distinct = known.raw.present.distinct
    looked = [number for number in known.used if number_in(distinct[number]) is None][:_LOOKED]
    some = [int(known.counts[number]) for number in looked if _is_date(distinct[number])]
    return bool(looked) and sum(some) > _HALF * int(known.counts[looked].sum())


def _is_date(text: str) -> bool:
    return dates.moment_in(text) is not None or bool(dates.orders_of(text)) or bool(dates.unknown_zone(text))


def _dates(name: str, known: DistinctTexts, order: str, refusal: Refusal, is_declared: bool) -> ColumnReading:
    """Dates or times of day; an empty reading if the column has none."""
    texts = known.texts
    plain = dates.plain_moments(texts)
    if plain is not None:
        return ColumnReading(_spread(known, plain), loose=is_declared)
    if not order:
        order, problem = _order_of(known, texts, refusal)
        if problem is not None:
            return ColumnReading(problem=problem, suggested="drop" if "drop" in problem.remedy else "day-first")
    read: Callable[[str], dates.Moment | None] = lambda text: dates.moment_in(text, order)  # noqa: E731
    if is_declared:
        read = lambda text: dates.moment_in(text, order) or dates.moment_of_digits(text)  # noqa: E731
    found = [read(text) for text in texts]
    is_text = [moment is None for moment in found]
    needed = _HALF if is_declared else _MOSTLY
    zones = [dates.unknown_zone(text) if is_wrong else "" for text, is_wrong in zip(texts, is_text, strict=True)]
    if (
        any(zones)
        and known.share([bool(zone) or not wrong for zone, wrong in zip(zones, is_text, strict=True)]) >= needed
    ):
        row, cell, _ = known.first([bool(zone) for zone in zones])
        rule = f"the time zone {dates.unknown_zone(cell)} of {cell!r} is not unique"
        remedy = "Write it as an offset (+02:00) or a name (Europe/Berlin), or drop the column"
        return ColumnReading(problem=refusal(rule, row=row, remedy=remedy), suggested="drop")
    if known.share([not text for text in is_text]) < needed:
        if not is_declared:
            return ColumnReading()
        row, cell, _ = known.first(is_text)
        rule = f"data.columns says a date, but most cells are none, such as {cell!r}"
        return ColumnReading(problem=refusal(rule, row=row), suggested="category")
    if any(is_text) and not is_declared:
        row, cell, more = known.first(is_text)
        rule = f"must be dates, got {cell!r}" + (f" and {more} more" if more else "")
        remedy = "Correct it, add it to data.missing_values, or read such cells as missing"
        return ColumnReading(problem=refusal(rule, row=row, remedy=remedy), suggested=order or "date")
    return _of_moments(name, known, found, order, refusal, is_declared)


def _order_of(known: DistinctTexts, texts: Sequence[str], refusal: Refusal) -> tuple[str, DataError | None]:
    """(the order of day and month, "" where none is needed; the error if the column does not decide it)."""
    unsure = [dates.is_ambiguous(text) for text in texts]
    orders = [set(found) for text in texts if (found := dates.orders_of(text))]
    possible = set(dates.ORDERS).intersection(*orders) if orders else set()
    if orders and not possible:
        row, cell, _ = known.first([dates.orders_of(text) == ("month-first",) for text in texts])
        rule = f"has dates with the day first and with the month first, such as {cell!r}"
        return "", refusal(rule, row=row, remedy="Write them in one order, such as 2024-05-31, or drop the column")
    if len(possible) == 1:
        return next(iter(possible)), None
    if any(unsure):
        row, cell, _ = known.first(unsure)
        rule = f"{cell!r} may have the day or the month first, and no other cell tells"
        return "", refusal(rule, row=row, remedy="Set day-first or month-first")
    return "", None


def _of_moments(
    name: str,
    known: DistinctTexts,
    found: Sequence[dates.Moment | None],
    order: str,
    refusal: Refusal,
    is_declared: bool,
) -> ColumnReading:
    there = [moment for moment in found if moment is not None]
    is_time = there[0].is_time
    if any(moment.is_time != is_time for moment in there):
        row, cell, _ = known.first([moment is not None and moment.is_time != is_time for moment in found])
        rule = f"has dates and times of day, such as {cell!r}"
        return ColumnReading(
            problem=refusal(rule, row=row, remedy="Write one kind, or drop the column"), suggested="drop"
        )
    zones = list(dict.fromkeys(moment.zone for moment in there))
    if "" in zones and len(zones) > 1:
        row, cell, _ = known.first([moment is not None and not moment.zone for moment in found])
        rule = f"{cell!r} has no time zone, but other cells have ({', '.join(filter(None, zones))})"
        remedy = "Write a zone in each cell or in none, or drop the column"
        return ColumnReading(problem=refusal(rule, row=row, remedy=remedy), suggested="drop")
    notes = _missing_note(name, known, [moment is None for moment in found], "dates")
    if zones not in ([""], ["UTC"]):
        named = ", ".join(zones[:_NAMED]) + (", ..." if len(zones) > _NAMED else "")
        notes.insert(0, f"column {name!r}: the times are converted to UTC from {named}")
    kind = "timedelta64[us]" if is_time else "datetime64[us]"
    ticks = np.array([np.iinfo(np.int64).min if moment is None else moment.at for moment in found], dtype=np.int64)
    column = _spread(known, ticks.view(kind), order, zones != [""])
    return ColumnReading(column, notes=tuple(notes), loose=is_declared)


def _spread(known: DistinctTexts, values: NDArray[np.generic], order: str = "", zoned: bool = False) -> DateCells:
    """The moments of all cells from those of the texts that occur."""
    table = np.full(len(known.raw.present.distinct) + 1, "NaT", dtype=values.dtype)
    table[known.used] = values
    return DateCells(table[known.raw.present.codes], order, zoned)


def _categories(name: str, raw: RawColumn, refusal: Refusal, categories: tuple[str, int], keep: bool) -> ColumnReading:
    try:
        labels = labels_of(raw.present, refusal)
    except DataError as error:
        return ColumnReading(problem=error, suggested="drop")
    notes = tuple(labels.note(name))
    rare, most = categories
    present = int((labels.codes >= 0).sum())
    if not keep and present >= _FEWEST:
        words = np.mean([len(text.split()) for text in labels.names])
        if len(labels.names) >= _DISTINCT * present and words >= _WORDS:
            return ColumnReading(left_out=TEXTS)
        if len(labels.names) >= _MOSTLY * present:
            return ColumnReading(left_out=IDS)
    if rare == "refuse" and len(labels.names) > most:
        rule = f"has {len(labels.names)} different texts, more than data.max_categories={most}"
        return ColumnReading(problem=refusal(rule, remedy="Drop the column", code="too-large"), suggested="drop")
    return ColumnReading(TextCells.compact(labels.codes, labels.names), notes=notes)
