"""Mean and standard deviation of float64 numbers of any magnitude, robust to rounding. NumPy only.

Symbols: N rows, O columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST = 1e300  # limit of |x|: sums and differences of larger numbers may not be finite
_USUAL = 300  # binary exponent up to which squares of N numbers neither overflow nor underflow
_ULPS = 4.0  # units in the last place by which equal numbers computed in two ways may differ


def mean_and_std(values: NDArray[Any]) -> tuple[Floats, Floats]:
    """The mean and the standard deviation of each column.

    values  (N,) or (N, O), finite, |x| up to LARGEST, N at least 1 -> shapes () or (O,), float64
    The deviation is 0 if it is at most the rounding error of the values. Powers of two are factored out first, so that
    no square overflows or underflows; this changes no bit of the result for numbers of usual magnitude.
    """
    wide = np.asarray(values, dtype=np.float64)
    largest = np.abs(wide).max(axis=0)
    exponent = np.frexp(largest)[1]
    if np.abs(exponent).max() <= _USUAL:
        exponent = np.zeros_like(exponent)
    scaled = np.ldexp(wide, -exponent) if exponent.any() else wide
    mean, std = scaled.mean(axis=0), scaled.std(axis=0)
    std = np.where(std > rounding(np.ldexp(largest, -exponent)), std, 0.0)
    return np.asarray(np.ldexp(mean, exponent)), np.asarray(np.ldexp(std, exponent))


def rounding(largest: Any, dtype: type[np.floating[Any]] = np.float64) -> Any:
    """The deviation of equal numbers of magnitude `largest` that is due to rounding in `dtype`."""
    return _ULPS * float(np.finfo(dtype).eps) * largest


def power_of_two(size: float) -> float:
    """The power of two next to `size` > 0, by which division is exact; 1 for 0 and non-finite numbers."""
    return float(2.0 ** np.clip(np.frexp(size)[1], -1000, 1000)) if np.isfinite(size) and size > 0 else 1.0
