"""Series of a table: its rows by series and time, on a grid of equal steps.

Symbols: N rows, C columns of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.series.clock_changes import clocks_remedy
from dlexp.data.series.frequency import AUTO, ROWS, Frequency, inferred_frequency
from dlexp.data.series.series_set import REFUSE, Floats, Series, SeriesColumns, SeriesSet
from dlexp.data.tables.features.kinds import is_date_column
from dlexp.data.tables.features.problems import ColumnProblem, not_found, raise_all
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.raw_table import RawTable
from dlexp.data.tables.split_columns import read_times
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.text.quoting import listed, setting
from dlexp.text.shown_time import shown_time

NONE = "none"
_TIME_NAMES = ("time", "date", "datetime", "timestamp", "ds", "year", "t")
_MOST_MARKS = 10  # texts that a proposed setting or code names


@dataclass(frozen=True)
class ReadingOptions:
    """How rows become steps.

    columns    declared kinds of columns, as data.columns
    frequency  data.frequency
    sort       put rows in the order of time
    gaps       data.gaps
    is_new     whether the rows are for a prediction: then those at the end may lack the target
    """

    columns: dict[str, str]
    frequency: str = AUTO
    sort: bool = False
    gaps: str = REFUSE
    is_new: bool = False


@dataclass(frozen=True)
class _Rows:
    """The rows of one series: places in the table, times, values."""

    name: str
    at: NDArray[np.int64]
    times: NDArray[Any] | None
    values: Floats


def series_of(table: RawTable, wanted: SeriesColumns, options: ReadingOptions) -> SeriesSet:
    """The series of a table. Raises DataError that names file, row and remedy for anything that is no series."""
    problems = list(_unknown(table, wanted))
    raise_all(problems, table.file, options.columns)
    time = _time_column(table, wanted)
    values = _numbers(table, wanted)
    times = None if time is None else read_times(table, time, options.columns.get(time, ""))["times"]
    if times is not None and times.dtype.kind == "M":
        times = times.astype("datetime64[us]")
    groups = [_in_order(table, rows, wanted, time, options) for rows in _by_series(table, wanted, times, values)]
    frequency = _frequency(table, groups, time, options)
    notes = list(table.notes)
    if time is None:
        notes.append("no column of times: each row is a step, in the order of the file. Name one with data.time=COLUMN")
    series = [_on_grid(table, rows, frequency, time) for rows in groups]
    if not options.is_new:
        series, more = _trimmed(series, wanted)
        notes += more
    used = {*wanted.values, wanted.series, time}
    omitted = {name: "is not named by data.past or data.known" for name in table.raw if name not in used}
    found = SeriesSet(table.file, tuple(series), wanted, frequency, time, table.unit, tuple(notes), omitted)
    if wanted.calendar and (times is None or times.dtype.kind != "M"):
        rule = f"data.calendar={listed(wanted.calendar)} requires a column of dates"
        raise DataError(
            rule, file=table.file, remedy="Set data.time=COLUMN, or data.calendar=[]", code="missing-requirement"
        )
    if options.gaps == REFUSE and not options.is_new:
        _refuse_gaps(found)
    return found


def _unknown(table: RawTable, wanted: SeriesColumns) -> Iterator[ColumnProblem]:
    keys = {"target": wanted.targets, "past": wanted.past, "known": wanted.known}
    keys["series"] = () if wanted.series is None else (wanted.series,)
    keys["time"] = () if wanted.time in (AUTO, NONE) else (wanted.time,)
    seen: dict[str, str] = {}
    for key, names in keys.items():
        for name in names:
            error = not_found(table.file, table.names, [name], name, key=f"data.{key}")
            if error is None and name in seen:
                rule = f"is both data.{seen[name]} and data.{key}"
                error = table.refusal(rule, name, remedy=f"Remove it from data.{key}.", code="cannot-combine")
            seen.setdefault(name, key)
            if error is not None:
                yield ColumnProblem(error, name)


def _time_column(table: RawTable, wanted: SeriesColumns) -> str | None:
    """The column of times: named, or the only one of dates, or of numbers called time, date, year and the like."""
    if wanted.time == NONE:
        return None
    if wanted.time != AUTO:
        return wanted.time
    free = {name: column for name, column in table.raw.items() if name not in (*wanted.values, wanted.series)}
    dates = [name for name, column in free.items() if is_date_column(column)]
    if len(dates) > 1:
        rule = f"has {len(dates)} columns of dates: {listed(dates)}"
        raise DataError(rule, file=table.file, remedy=f"Set {setting('data.time', dates[0])}", code="missing-value")
    numbers = [name for name, column in free.items() if name.lower() in _TIME_NAMES]
    return next(iter(dates or numbers), None)


def _numbers(table: RawTable, wanted: SeriesColumns) -> Floats:
    """(N, C) of the columns of numbers, NaN for an empty cell."""
    problems, found = [], []
    for name in wanted.values:
        numbers, bad = table.raw[name].numbers
        wrong = np.flatnonzero(bad)
        if len(wrong):
            more = f", and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""
            rule = f"must be a number, got {table.raw[name].cell(int(wrong[0]))!r}{more}"
            remedy = _as_numbers(table.raw[name], wrong, bool(np.isfinite(numbers).any()))
            problems.append(ColumnProblem(table.refusal(rule, name, int(wrong[0]), remedy, "invalid-type"), name))
        found.append(numbers)
    raise_all(problems, table.file, {})
    return np.stack(found, axis=1).astype(np.float64)


def _as_numbers(column: RawColumn, wrong: NDArray[np.intp], has_numbers: bool) -> str:
    """What to do about the cells `wrong`, which are no numbers: words such as yes and no are not missing values."""
    texts = list(dict.fromkeys(column.cell(int(row)) for row in wrong))
    if has_numbers:
        return f"Correct it, or count it as missing: {column.marking(texts[:_MOST_MARKS])}"
    if len(texts) > _MOST_MARKS:
        return "Write numbers in place of the texts, or leave the column out."
    codes = ", ".join(f"{number} for {text!r}" for number, text in enumerate(sorted(texts)))
    return f"Write numbers, such as {codes}, or leave the column out."


def _by_series(table: RawTable, wanted: SeriesColumns, times: NDArray[Any] | None, values: Floats) -> Iterator[_Rows]:
    if wanted.series is None:
        yield _Rows("", np.arange(len(values)), times, values)
        return
    labels = table.labels_of(wanted.series)
    missing = np.flatnonzero(labels.codes < 0)
    if len(missing):
        raise table.refusal(
            "the series is missing", wanted.series, int(missing[0]), "Fill in the cell or delete the row."
        )
    order = np.argsort(labels.codes, kind="stable")
    bounds = np.searchsorted(labels.codes[order], np.arange(len(labels.names) + 1))
    for number, name in enumerate(labels.names):
        at = order[bounds[number] : bounds[number + 1]]
        if len(at):
            yield _Rows(str(name), at, None if times is None else times[at], values[at])


def _in_order(table: RawTable, rows: _Rows, wanted: SeriesColumns, time: str | None, options: ReadingOptions) -> _Rows:
    """Rows whose times increase. Raises DataError for time that goes backwards and for a time that occurs twice."""
    if rows.times is None:
        return rows
    assert time is not None
    if options.sort:
        order = np.argsort(rows.times, kind="stable")
        rows = replace(rows, at=rows.at[order], times=rows.times[order], values=rows.values[order])
    assert rows.times is not None
    where = f" in series {rows.name!r}" if rows.name else ""
    same = np.flatnonzero(rows.times[1:] == rows.times[:-1]) + 1
    back = np.flatnonzero(rows.times[1:] < rows.times[:-1]) + 1
    if len(back) and (not len(same) or back[0] < same[0]):
        row = int(rows.at[back[0]])
        pair = [shown_time(rows.times[back[0] - before]) for before in (0, 1)]
        rule = f"time goes backwards{where}: {pair[0]} comes after {pair[1]}"
        seen = _may_name_series(table, wanted, time, rows)
        remedy = (
            f"If the file has several series, set {setting('data.series', seen)}. Else set data.sort=true"
            if seen
            else "Set data.sort=true"
        )
        raise table.refusal(rule, time, row, remedy)
    if len(same):
        row = int(rows.at[same[0]])
        more = f", and {counted(len(same) - 1, 'more row')}" if len(same) > 1 else ""
        rule = f"{shown_time(rows.times[same[0]])} occurs twice{where}{more}"
        name = _may_name_series(table, wanted, time, rows)
        several = (
            f"If the file has several series, set {setting('data.series', name)}. Else delete" if name else "Delete"
        )
        remedy = f"{several} one of the rows.{clocks_remedy(rows.times[same[0]])}"
        raise table.refusal(rule, time, row, remedy)
    return rows


def _may_name_series(table: RawTable, wanted: SeriesColumns, time: str, rows: _Rows) -> str:
    """A column of texts that parts `rows` into series of two or more, in each of which time goes on; "" for none."""
    if wanted.series is not None or rows.times is None:
        return ""
    for name in table.raw:
        if name not in (*wanted.values, time) and table.raw[name].cells().dtype == object:
            labels = table.raw[name].spelled.codes[rows.at]
            order = np.argsort(labels, kind="stable")
            inside = labels[order][1:] == labels[order][:-1]
            if 2 * inside.sum() >= len(labels) and (rows.times[order][1:] > rows.times[order][:-1])[inside].all():
                return name
    return ""


def _frequency(table: RawTable, groups: list[_Rows], time: str | None, options: ReadingOptions) -> Frequency:
    if time is None or options.frequency == ROWS:
        return Frequency("row")
    times = [rows.times for rows in groups if rows.times is not None]
    if options.frequency != AUTO:
        frequency = Frequency.of(options.frequency)
        is_date = times[0].dtype.kind == "M"
        if is_date == (frequency.unit == "number"):
            what = "dates" if is_date else "numbers"
            rule = f"data.frequency={options.frequency} does not fit times that are {what}"
            raise DataError(rule, file=table.file, column=time, remedy="Set data.frequency=auto", code="cannot-combine")
        return frequency
    found = inferred_frequency(times)
    if found is not None:
        return found
    raise _irregular(table, groups, time)


def _irregular(table: RawTable, groups: list[_Rows], time: str) -> DataError:
    """The error for times on no grid, at the first step that is shorter or longer than a multiple of the usual one."""
    for rows in groups:
        if rows.times is None or len(rows.times) < 2:
            continue
        gaps = np.diff(rows.times).astype(np.float64)
        sizes, counts = np.unique(gaps, return_counts=True)
        usual = sizes[counts.argmax()]
        off = np.flatnonzero(np.abs(gaps / usual - np.round(gaps / usual)) > 1e-6) + 1
        if len(off):
            at = int(off[0])
            pair = [shown_time(rows.times[at - before]) for before in (0, 1)]
            rule = f"the steps have no common length: {pair[0]} comes after {pair[1]}"
            remedy = "If each row is a step, such as a trading day, set data.frequency=rows. Else correct the time."
            return table.refusal(rule, time, int(rows.at[at]), remedy)
    rule = "the length of a step cannot be told from one row"
    return DataError(rule, file=table.file, column=time, remedy="Set data.frequency=1d", code="too-few-samples")


def _on_grid(table: RawTable, rows: _Rows, frequency: Frequency, time: str | None) -> Series:
    """The rows at their places on the grid; what the file lacks is NaN."""
    lines = table.lines[rows.at]
    if rows.times is None or frequency.unit == "row":
        return Series(rows.name, rows.times, rows.values, lines)
    places = frequency.places(rows.times)
    off = np.flatnonzero((places != np.round(places)) | (np.diff(places, prepend=-1) <= 0))
    if len(off):
        assert time is not None
        rule = f"{shown_time(rows.times[off[0]])} is no step of {frequency} after {shown_time(rows.times[0])}"
        remedy = "Set another data.frequency, or data.frequency=rows if each row is a step."
        raise table.refusal(rule, time, int(rows.at[off[0]]), remedy)
    at = places.astype(np.int64)
    count = int(at[-1]) + 1
    if count == len(at):
        return Series(rows.name, rows.times, rows.values, lines)
    later = frequency.after(rows.times[0], count - 1)
    assert later is not None
    values, at_line = np.full((count, rows.values.shape[1]), np.nan), np.full(count, -1, dtype=np.int64)
    values[at], at_line[at] = rows.values, lines
    times = np.concatenate([rows.times[:1], later])
    times[at] = rows.times
    return Series(rows.name, times, values, at_line)


def _trimmed(series: list[Series], wanted: SeriesColumns) -> tuple[list[Series], list[str]]:
    """Series without the future rows at their end, which have known covariates and no target."""
    if not wanted.known:
        return series, []
    found, left = [], 0
    for one in series:
        there = np.flatnonzero(~np.isnan(one.values[:, : len(wanted.targets)]).all(axis=1))
        end = int(there[-1]) + 1 if len(there) else 0
        left += len(one) - end
        times = None if one.times is None else one.times[:end]
        found.append(Series(one.name, times, one.values[:end], one.lines[:end]))
    note = f"{counted(left, 'row')} at the end without a target left out: they are the future of data.known"
    return found, [note] if left else []


def _refuse_gaps(found: SeriesSet) -> None:
    """Raise DataError for the first missing step or value."""
    for series in found.series:
        missing = np.isnan(series.values)
        if not missing.any():
            continue
        step = int(np.flatnonzero(missing.any(axis=1))[0])
        column = int(np.flatnonzero(missing[step])[0])
        clocks = ""
        steps, cells = int((series.lines < 0).sum()), int(missing.any(axis=1).sum())
        when = "" if series.times is None else f" at {shown_time(series.times[step])}"
        if series.lines[step] < 0:
            rule = (
                f"steps are missing, the first{when}, {counted(steps, 'step')} in all (one step is {found.frequency})"
            )
            name = found.time or found.columns.values[0]
            clocks = "" if series.times is None else clocks_remedy(series.times[step])
        else:
            name = found.columns.values[column]
            rule = f"the value{when} is missing, {counted(cells, 'step')} in all"
        remedy = (
            "Fill it: data.gaps=forward (the value before) or data.gaps=interpolate (a line between the neighbors). "
            "Or leave out the windows that have it: data.gaps=skip"
        )
        if series.lines[step] < 0 and found.frequency.unit in ("second", "business_day"):
            remedy += ". If each row is a step, such as a trading day, set data.frequency=rows"
        raise found.refusal(rule, series, step, name, remedy + (clocks and f".{clocks}"))
