"""Values to learn: checked, as float64 in their own units, and the mean and deviation that training takes out of them.

Symbols: N rows, O targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.errors import DataError
from dlexp.runtime.rounding import mean_and_std

_WHOLE = 1 << 53  # whole numbers beyond it are not all float64 numbers
_LOST = 0.01  # share of their deviation that rounding may take from whole numbers


def target_unit(
    values: NDArray[Any], learnt: NDArray[np.int64], names: Sequence[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(`target_mean`, `target_std`) of a DataSpec, measured on the training rows `learnt` of the values (N, O).

    The deviation of a target that is constant but for rounding is 1. Raises DataError for a row that is held out and so
    far from the training rows that a network's float32 number cannot say it.
    """
    mean, found = mean_and_std(values[learnt])
    std = np.where(found > 0, found, 1.0)
    with np.errstate(over="ignore"):
        far = np.argwhere(~(np.abs((values - mean) / std) <= float(np.finfo(np.float32).max)))
    if len(far):
        row, number = (int(place) for place in far[0])
        rule = f"the target {values[row, number]} lies too far from the training rows to be standardized"
        remedy = "correct it, or hold out other rows with data.split_seed"
        column = names[number] if number < len(names) else None
        raise DataError(rule, column=column, remedy=remedy, code="out-of-range")
    return tuple(mean.tolist()), tuple(std.tolist())


def constant_reason(values: NDArray[np.float64], equal: str) -> str:
    """Why there is nothing to learn from values (N, O), in the words `equal` where all are equal; "" where there is."""
    if (values == values[:1]).all():
        return equal
    if not mean_and_std(values)[1].any():
        low, high = float(values.min()), float(values.max())
        return f"the targets, {low!r} to {high!r}, differ by no more than the rounding of float64 numbers"
    return ""


def whole_number_reason(values: NDArray[Any]) -> str:
    """Why an array of whole numbers cannot be computed with as float64, "" where it can."""
    if (
        values.dtype.kind not in "iu"
        or not values.size
        or max(abs(int(values.min())), abs(int(values.max()))) <= _WHOLE
    ):
        return ""
    apart = values.max(axis=0).astype(object) - values.min(axis=0).astype(object)
    steps = np.spacing(
        np.maximum(abs(values.max(axis=0).astype(np.float64)), abs(values.min(axis=0).astype(np.float64)))
    )
    if np.any((np.asarray(apart, dtype=np.float64) > 0) & (steps > _LOST * np.asarray(apart, dtype=np.float64))):
        return f"whole numbers up to {int(values.max())}, whose differences float64 numbers do not hold"
    return ""
