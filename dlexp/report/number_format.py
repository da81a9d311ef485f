"""Formatting of metrics for terminal and pages."""

from __future__ import annotations

import math
from collections.abc import Sequence

_ROUNDING = 1e-9  # of a sum of shares, relative to 1
_SHARES = (
    "accuracy",
    "f1",
    "precision",
    "recall",
    "specificity",
    "mape",
    "calibration_error",
    "fbeta",
    "within",
    "exact_match",
)
_ERROR_RATES = ("cer", "wer")  # of a true text: above 1 where more is put out than there is
_OF_SAMPLES = ("near_copies", "class_agreement", "cas", "coverage", "good_samples")  # of a generative run: whole names


def is_share(name: str) -> bool:
    """Return whether a metric is a share, shown in percent."""
    return any(word in name for word in _SHARES) or name.rpartition("/")[2] in (*_ERROR_RATES, *_OF_SAMPLES)


def number(name: str, value: object) -> str:
    """A metric as text: shares in percent, others with four digits."""
    if value is None:
        return "-"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if name.endswith("samples_per_s"):
        return f"{value:,.0f}"
    return f"{percent(value)} %" if is_share(name) else f"{value:.4g}"


def percent(share: float, digits: int = 2) -> str:
    """A share in percent with `digits` digits after the point, and more where these would read as 0 or 100 %."""
    value = 100 * share
    for end in (0.0, 100.0):
        apart = abs(value - end)
        if end * _ROUNDING < apart < 10.0**-digits:
            return f"{value:.2g}" if end == 0 else f"{value:.{1 - math.floor(math.log10(apart))}f}"
    return f"{value:.{digits}f}"


def distinct_texts(values: Sequence[float], digits: int = 4) -> list[str]:
    """Numbers with `digits` digits of their differences: 1700000012.3, not 1.7e+09."""
    finite = [value for value in values if math.isfinite(value)]
    extent = max(finite, default=0.0) - min(finite, default=0.0)
    largest = max(map(abs, finite), default=0.0)
    more = math.floor(math.log10(largest / extent)) if 0 < extent < largest else 0
    return [f"{value:.{min(17, digits + max(0, more))}g}" for value in values]
