"""Checks of target values, and the mean and deviation by which they are standardized in training.

Symbols: N rows, O targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.errors import DataError
from dlexp.runtime.rounding import mean_and_std

_WHOLE = 1 << 53  # largest whole number up to which float64 is exact
_LOST = 0.01  # share of the range of whole numbers that rounding may lose


def target_unit(
    values: NDArray[Any], train: NDArray[np.int64], names: Sequence[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(`target_mean`, `target_std`) of a DataSpec, measured on the rows `train` of values (N, O).

    The deviation of a target that is constant up to rounding is 1. Raises DataError for a held-out target that
    overflows float32 when standardized.
    """
    mean, found = mean_and_std(values[train])
    std = np.where(found > 0, found, 1.0)
    with np.errstate(over="ignore"):
        far = np.argwhere(~(np.abs((values - mean) / std) <= float(np.finfo(np.float32).max)))
    if len(far):
        row, number = (int(place) for place in far[0])
        rule = f"the target {values[row, number]} is too far from the training rows to be standardized"
        remedy = "Correct it. If dlexp draws the split, another data.split_seed may divide it otherwise."
        column = names[number] if number < len(names) else None
        raise DataError(rule, column=column, remedy=remedy, code="out-of-range")
    return tuple(mean.tolist()), tuple(std.tolist())


def constant_reason(values: NDArray[np.float64], equal: str) -> str:
    """The reason why values (N, O) are constant, `equal` if all are exactly equal; "" if they are not constant."""
    if (values == values[:1]).all():
        return equal
    if not mean_and_std(values)[1].any():
        low, high = float(values.min()), float(values.max())
        return f"the targets, {low!r} to {high!r}, differ only by rounding of float64"
    return ""


def whole_number_reason(values: NDArray[Any]) -> str:
    """The reason why whole numbers cannot be converted to float64 without loss of their differences, "" if they can."""
    if (
        values.dtype.kind not in "iu"
        or not values.size
        or max(abs(int(values.min())), abs(int(values.max()))) <= _WHOLE
    ):
        return ""
    extent = values.max(axis=0).astype(object) - values.min(axis=0).astype(object)
    steps = np.spacing(
        np.maximum(abs(values.max(axis=0).astype(np.float64)), abs(values.min(axis=0).astype(np.float64)))
    )
    if np.any((np.asarray(extent, dtype=np.float64) > 0) & (steps > _LOST * np.asarray(extent, dtype=np.float64))):
        return f"whole numbers up to {int(values.max())}, whose differences are lost in float64"
    return ""
