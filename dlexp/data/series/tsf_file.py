"""Files of the Monash forecasting archive (.tsf): a header of attributes, then a line for each series.

Source: Godahewa et al., Monash Time Series Forecasting Archive, NeurIPS 2021 Datasets and Benchmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.paths import check_file
from dlexp.data.series.frequency import Frequency
from dlexp.data.series.series_set import REFUSE, Series, SeriesColumns, SeriesSet
from dlexp.errors import DataError

_FREQUENCIES = {
    "4_seconds": "4s",
    "minutely": "1min",
    "10_minutes": "10min",
    "half_hourly": "30min",
    "hourly": "1h",
    "daily": "1d",
    "weekly": "1w",
    "monthly": "1mo",
    "quarterly": "1q",
    "yearly": "1y",
}
_TARGET = "value"


@dataclass
class _Header:
    attributes: list[tuple[str, str]] = field(default_factory=list)
    frequency: Frequency = field(default_factory=lambda: Frequency("row"))


def is_tsf(path: Path) -> bool:
    """Whether a file is named as one of the archive."""
    return path.suffix.lower() == ".tsf"


def read_tsf(path: Path, gaps: str) -> SeriesSet:
    """The series of a .tsf file; `?` is a missing value. Raises DataError with the line of what is malformed."""
    check_file(path)
    header, series, in_data = _Header(), [], False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if in_data:
                series.append(_series(path, number, text, header))
            elif text.lower() == "@data":
                in_data = True
            else:
                _attribute(path, number, text, header)
    if not series:
        rule = "has no series" if in_data else "has no line @data"
        raise DataError(rule, file=path, remedy="Use a complete .tsf file.", code="too-few-samples")
    if gaps == REFUSE:
        for one in series:
            missing = np.flatnonzero(np.isnan(one.values[:, 0]))
            if len(missing):
                rule = f"series {one.name!r} has {len(missing):,} missing values, the first at step {missing[0] + 1}"
                remedy = (
                    "Fill them: data.gaps=forward or data.gaps=interpolate. Or leave out their windows: data.gaps=skip"
                )
                raise DataError(rule, file=path, row=int(one.lines[0]), remedy=remedy)
    return SeriesSet(path, tuple(series), SeriesColumns((_TARGET,)), header.frequency, "start_timestamp")


def _attribute(path: Path, number: int, text: str, header: _Header) -> None:
    word, _, rest = text.partition(" ")
    if word.lower() == "@attribute":
        name, _, kind = rest.strip().rpartition(" ")
        if kind not in ("string", "numeric", "date") or not name:
            rule = f"must be @attribute NAME string, numeric or date, got {text!r}"
            raise DataError(rule, file=path, row=number, remedy="Correct the line.", code="invalid-syntax")
        header.attributes.append((name, kind))
    elif word.lower() == "@frequency":
        if rest.strip() not in _FREQUENCIES:
            known = ", ".join(_FREQUENCIES)
            rule = f"unknown frequency {rest.strip()!r}"
            raise DataError(rule, file=path, row=number, remedy=f"Write one of {known}.", code="unknown-value")
        header.frequency = Frequency.of(_FREQUENCIES[rest.strip()])


def _series(path: Path, number: int, text: str, header: _Header) -> Series:
    parts = text.split(":", len(header.attributes))
    *own, last = parts
    if len(own) != len(header.attributes):
        rule = f"must have {len(header.attributes)} attributes and the values, separated by colons"
        raise DataError(rule, file=path, row=number, remedy="Correct the line.", code="invalid-syntax")
    try:
        values = np.array([np.nan if cell.strip() == "?" else float(cell) for cell in last.split(",")])
    except ValueError as error:
        raise DataError(f"must be numbers or ?: {error}", file=path, row=number, remedy="Correct the value.") from error
    known = dict(zip((name for name, _ in header.attributes), own, strict=True))
    start = next((known[name] for name, kind in header.attributes if kind == "date"), None)
    times = None if start is None else _times(path, number, start, len(values), header.frequency)
    name = next((known[name] for name, kind in header.attributes if kind == "string"), f"line {number}")
    return Series(name, times, values[:, None], np.full(len(values), number))


def _times(path: Path, number: int, start: str, count: int, frequency: Frequency) -> NDArray[Any] | None:
    """The times of the steps; a start is written as 1990-01-01 00-00-00."""
    day, _, clock = start.strip().partition(" ")
    try:
        first = np.datetime64(f"{day}T{clock.replace('-', ':') or '00:00:00'}", "us")
    except ValueError as error:
        rule = f"must be a start such as 1990-01-01 00-00-00, got {start!r}"
        raise DataError(rule, file=path, row=number, remedy="Correct the start.") from error
    later = frequency.after(first, count - 1)
    return None if later is None else np.concatenate([[first], later])
