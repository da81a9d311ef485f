"""Series on a grid of equal steps, as they come from a file, and what a user says about them.

Symbols: N steps of a series, V targets, P past covariates, K covariates that are known in advance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.series.frequency import Frequency
from dlexp.errors import DataError

Floats = NDArray[np.float64]
REFUSE, SKIP, FORWARD, INTERPOLATE = "refuse", "skip", "forward", "interpolate"


@dataclass(frozen=True)
class SeriesColumns:
    """Which columns of a table are what.

    targets   the V columns that are forecast
    past      P columns that are known up to the present
    known     K columns that are known in advance
    series    the column that names the series of a row, None for one series
    time      the column of times; auto finds it, none takes rows as steps
    calendar  parts of the time as further known covariates, of `calendar.PARTS`
    """

    targets: tuple[str, ...]
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    series: str | None = None
    time: str = "auto"
    calendar: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """The columns of numbers, in the order of `Series.values`."""
        return (*self.targets, *self.past, *self.known)


@dataclass(frozen=True)
class Series:
    """One series.

    name     "" for the only one
    times    (N,) datetime64[us] or float64; None without a column of times
    values   (N, V + P + K) float64, NaN for a missing value
    lines    (N,) the row of each step in its file, -1 for a step that the file lacks
    future   (K',  K) known covariates of the steps after the last one, for a prediction
    """

    name: str
    times: NDArray[Any] | None
    values: Floats
    lines: NDArray[np.int64]
    future: Floats | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class SeriesSet:
    """The series of a file.

    time     the column of times, None without one
    unit     what `Series.lines` counts, "" where the steps have no rows
    notes    what was changed or left out
    omitted  column -> why it is not read
    """

    file: Path | None
    series: tuple[Series, ...]
    columns: SeriesColumns
    frequency: Frequency
    time: str | None = None
    unit: str = "line"
    notes: tuple[str, ...] = ()
    omitted: dict[str, str] = field(default_factory=dict)

    def refusal(self, rule: str, series: Series, step: int, column: str, remedy: str) -> DataError:
        """The error about one step of a series, by its row where it has one."""
        line = int(series.lines[step]) if self.unit else -1
        if line < 0:
            before = int(series.lines[max(0, step - 1)]) if self.unit else -1
            line = before
        where = f"series {series.name!r}: " if series.name else ""
        return DataError(
            f"{where}{rule}",
            file=self.file,
            column=column,
            row=line if line >= 0 else None,
            remedy=remedy,
            unit=self.unit or "row",
        )


def filled(values: Floats, policy: str, cuts: Sequence[int]) -> Floats:
    """(N, C) without NaN where `policy` fills: forward from the past, or on a line between the neighbors.

    Each part between two of `cuts` is filled by itself, so that nothing after a cut changes what is before it; what a
    part lacks at its end is filled forward, and at its beginning from the part before.
    """
    found = values.copy()
    if policy not in (FORWARD, INTERPOLATE):
        return found
    bounds = [0, *cuts, len(values)]
    for column in found.T:
        for begin, end in pairwise(bounds):
            part = column[begin:end]
            there = np.flatnonzero(~np.isnan(part))
            if policy == INTERPOLATE and len(there):
                inside = np.arange(there[0], there[-1] + 1)
                part[inside] = np.interp(inside, there, part[there])
        _forward(column)
    return found


def _forward(column: Floats) -> None:
    """Fill each NaN of (N,) with the last number before it, in place."""
    there = np.where(np.isnan(column), -1, np.arange(len(column)))
    last = np.maximum.accumulate(there)
    column[last >= 0] = column[last[last >= 0]]
