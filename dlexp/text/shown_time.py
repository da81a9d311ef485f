"""Times of data as text."""

from __future__ import annotations

from typing import Any

import numpy as np


def shown_time(value: Any) -> str:
    """A time as text: a date without a time of day where it has none, a number without needless digits."""
    if isinstance(value, np.datetime64):
        text = str(value.astype("datetime64[us]"))
        return text.removesuffix("T00:00:00.000000").removesuffix(".000000")
    if isinstance(value, np.timedelta64):
        return str(value.astype("timedelta64[us]").item())
    return f"{float(value):.15g}"
