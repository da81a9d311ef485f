"""Parts of the calendar as inputs: each is a sine and a cosine, so that its end lies next to its beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("hour", "weekday", "day", "month", "year_day")


def calendar_values(times: NDArray[Any], parts: Sequence[str]) -> NDArray[np.float64]:
    """(N, 2 x parts) in [-1, 1] of times (N,) datetime64: sine and cosine of hour, weekday, day, month or year_day."""
    columns = [_turn(times, part) for part in parts]
    waves = [wave(2 * np.pi * column) for column in columns for wave in (np.sin, np.cos)]
    return np.stack(waves, axis=1) if waves else np.zeros((len(times), 0))


def calendar_names(parts: Sequence[str]) -> list[str]:
    """The names of the columns of `calendar_values`."""
    return [f"{wave}({part})" for part in parts for wave in ("sin", "cos")]


def _turn(times: NDArray[Any], part: str) -> NDArray[np.float64]:
    """(N,) the share of the part's round that is over, in [0, 1)."""
    day, month = times.astype("datetime64[D]"), times.astype("datetime64[M]")
    if part == "hour":
        return np.asarray((times - day).astype("timedelta64[us]").astype(np.int64) / 86_400e6)
    if part == "weekday":
        return np.asarray((day.astype(np.int64) + 3) % 7 / 7)  # 1970-01-01 was a Thursday
    if part == "day":
        return np.asarray((day - month.astype("datetime64[D]")).astype(np.int64) / 31)
    if part == "month":
        return np.asarray(month.astype(np.int64) % 12 / 12)
    year = times.astype("datetime64[Y]")
    return np.asarray((day - year.astype("datetime64[D]")).astype(np.int64) / 366)
