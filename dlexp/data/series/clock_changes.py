"""Times at which clocks are changed: an hour that is missing in spring, and one that occurs twice in autumn."""

from __future__ import annotations

from typing import Any

import numpy as np

_MONTHS = (3, 4, 9, 10, 11)  # of both hemispheres
_LATEST = 3  # the hour of the day up to which clocks are changed
_SUNDAY = 3  # of days counted from 1970-01-01, a Thursday


def clocks_remedy(time: Any) -> str:
    """A sentence for a time of day without an offset in a night of changed clocks, with a space before it; "" else."""
    if not isinstance(time, np.datetime64):
        return ""
    day = time.astype("datetime64[D]")
    month = int(time.astype("datetime64[M]").astype(np.int64)) % 12 + 1
    hour = int((time - day) / np.timedelta64(1, "h"))
    if month not in _MONTHS or int(day.astype(np.int64)) % 7 != _SUNDAY or hour > _LATEST:
        return ""
    example = f"{np.datetime_as_string(time, unit='m')}+01:00"
    return f" If the clocks were changed that night, write all times in UTC or with their offset, such as {example}"
