"""How a metric is written for people, on the terminal and on a page."""

from __future__ import annotations

import math
from collections.abc import Sequence

_SHARES = ("accuracy", "f1", "precision", "recall", "specificity", "mape", "calibration_error")


def is_share(name: str) -> bool:
    """Whether a metric lies between 0 and 1 and is read in per cent."""
    return any(word in name for word in _SHARES)


def number(name: str, value: object) -> str:
    """A metric for people: shares in per cent, others with four digits."""
    if value is None:
        return "-"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if name.endswith("samples_per_s"):
        return f"{value:,.0f}"
    return f"{100 * value:.2f} %" if is_share(name) else f"{value:.4g}"


def alike(values: Sequence[float], digits: int = 4) -> list[str]:
    """Numbers in one table, with `digits` digits of what they differ in: 1700000012.3, not 1.7e+09."""
    finite = [value for value in values if math.isfinite(value)]
    extent = max(finite, default=0.0) - min(finite, default=0.0)
    largest = max(map(abs, finite), default=0.0)
    more = math.floor(math.log10(largest / extent)) if 0 < extent < largest else 0
    return [f"{value:.{min(17, digits + max(0, more))}g}" for value in values]


def counted(count: int, noun: str) -> str:
    """1 item, 2 items."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
