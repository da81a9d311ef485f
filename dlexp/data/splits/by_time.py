"""Rows cut by time: train is the earliest, test the latest, and rows of one time stay together.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.text.shown_time import shown_time

Rows = NDArray[np.int64]


def cut_by_time(rows: Rows, times: NDArray[Any], shares: Sequence[float]) -> list[Rows]:
    """`rows` in consecutive parts of time, each sorted by row number.

    A cut that would divide rows of one time moves to the nearest change of time.

    Args:
        rows: (B,) row numbers.
        times: (N,) numbers or moments of all rows, none missing.
        shares: Share of each part, the earliest first, the sum of which is 1.

    Raises DataError for fewer different times than parts.
    """
    order = rows[np.argsort(times[rows], kind="stable")]
    sorted_times = times[order]
    changes = np.flatnonzero(sorted_times[1:] != sorted_times[:-1]) + 1  # positions at which a later time begins
    if len(changes) < len(shares) - 1:
        different = counted(len(changes) + (1 if len(rows) else 0), "different time")
        rule = f"has {different} in {counted(len(rows), 'row')}, and rows of one time are not divided"
        remedy = f"Add rows of other times, at least {len(shares)}, or remove data.time."
        raise DataError(rule, remedy=remedy, code="too-few-samples")
    cuts: list[int] = []
    for number, wanted in enumerate(np.cumsum(shares)[:-1] * len(rows)):
        # Later cuts need a change each: this one comes behind the one before and leaves them theirs.
        first = 0 if not cuts else int(np.searchsorted(changes, cuts[-1], side="right"))
        last = len(changes) - (len(shares) - 1 - number)
        near = changes[first : last + 1]
        cuts.append(int(near[np.argmin(np.abs(near - wanted))]))
    return [np.sort(part).astype(np.int64) for part in np.split(order, cuts)]


def shown_times(values: NDArray[Any], among: NDArray[Any]) -> tuple[str, ...]:
    """Times as texts of one form: each with a time of day where one of them, or of `among`, has one."""
    texts = tuple(map(shown_time, values))
    days = [each.astype("datetime64[D]") != each for each in (values, among) if each.dtype.kind == "M"]
    if not any(found.any() for found in days):
        return texts
    return tuple(text if "T" in text or text == "NaT" else f"{text}T00:00:00" for text in texts)
