"""The data source `series`: one or many series in a table of any format, or in a .tsf file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlexp.data.bundle import DataBundle
from dlexp.data.paths import did_you_mean
from dlexp.data.series.bundling import forecast_bundle
from dlexp.data.series.frequency import AUTO
from dlexp.data.series.parts import WindowOptions
from dlexp.data.series.reading import ReadingOptions, series_of
from dlexp.data.series.series_set import REFUSE, SeriesColumns
from dlexp.data.series.tsf_file import is_tsf, read_tsf
from dlexp.data.tables.column_names import column_names
from dlexp.data.tables.files.reading import read_table
from dlexp.data.tables.files.table_form import FormSettings
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError
from dlexp.text.quoting import listed, setting

__all__ = ["series_file"]
_NAMED = 20  # columns listed in a message


def series_file(
    *,
    path: str,
    target: str | list[str] | None = None,
    series: str | None = None,
    time: str = AUTO,
    past: Sequence[str] = (),
    known: Sequence[str] = (),
    calendar: Sequence[str] = (),
    window: int = 48,
    horizon: int = 1,
    stride: int = 1,
    gap: int = 0,
    cut: str = "time",
    period: int | str = AUTO,
    frequency: str = AUTO,
    gaps: str = REFUSE,
    sort: bool = False,
    columns: dict[str, str] | None = None,
    missing_values: list[str] | None = None,
    separator: str = AUTO,
    decimal: str = AUTO,
    thousands: str = AUTO,
    encoding: str = AUTO,
    sheet: str = AUTO,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
) -> DataBundle:
    """Windows of the series in `path`: inputs (window, channels), targets (horizon, targets) in their own units.

    See dlexp.data.series for what a step, a part and a window is. Raises DataError for data that are no series, with
    file, row and remedy; ConfigError if a package for the format of the file is missing.
    """
    options = WindowOptions(window, horizon, stride, gap, val_fraction, test_fraction, cut)
    season = None if period == AUTO else int(period)
    targets = () if target is None else (target,) if isinstance(target, str) else tuple(target)
    if is_tsf(Path(path)):
        found = read_tsf(Path(path), gaps)
        return forecast_bundle(found, replace(options, cut="series"), gaps, season)
    chosen = targets or _only_column(path, separator)
    form = {"path": path, "separator": separator, "decimal": decimal, "thousands": thousands}
    settings = FormSettings.of({**form, "encoding": encoding, "sheet": sheet})
    wanted = SeriesColumns(chosen, tuple(past), tuple(known), series, time, tuple(calendar))
    declared = columns or {}
    labels = [series] if series is not None else []
    table, read_form = read_table(
        Path(path), settings, Marks(missing_values or []), list(chosen), declared, as_texts=labels, may_be_list=True
    )
    found = series_of(table, wanted, ReadingOptions(declared, frequency, sort, gaps))
    bundle = forecast_bundle(found, options, gaps, season)
    notes = (note, *bundle.notes) if (note := read_form.note()) else bundle.notes
    plain: dict[str, Any] = {**bundle.preprocessing, "form": read_form.plain(), "sort": sort, "declared": declared}
    return replace(bundle, preprocessing=plain, notes=notes)


def _only_column(path: str, separator: str) -> tuple[str, ...]:
    """The column of a list of values. Raises DataError for a table of several, of which data.target names some."""
    names = column_names(Path(path), separator)
    if len(names) != 1:
        raise _no_target(path, separator)
    return (names[0],)


def _no_target(path: str, separator: str) -> DataError:
    """The error for a table of series without data.target, with its columns; the first one is mostly that of times."""
    names = column_names(Path(path), separator)
    if not Path(path).exists():
        return DataError("file not found", file=path, remedy=did_you_mean(Path(path)), code="not-found")
    rule = "data.target is required: the column to forecast, or a list of columns"
    more = f", ... ({len(names):,} in all)" if len(names) > _NAMED else ""
    have = f". Its columns are {listed(names[:_NAMED])}{more}" if names else ""
    remedy = f"Set {setting('data.target', names[min(1, len(names) - 1)])}" if names else "Set data.target=COLUMN"
    return DataError(f"{rule}{have}", file=path, remedy=remedy, code="missing-value")
