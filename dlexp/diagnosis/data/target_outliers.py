"""Values among the targets that are so far from all others that they alone make up the deviation.

Symbols: N samples, O target values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.specs import ValueSpec

_MOST = 0.1  # share of the samples that stand apart, at most
_LEAST = 10  # samples that do not, and differ from the median: most targets of some data are 0
_TIMES = 2  # as many of these as of those
_SIGMAS = 1.4826  # deviations of a normal distribution by its median absolute deviation


@dataclass(frozen=True)
class TargetOutliers:
    """The values of a target beyond the widest gap in their distances from the median.

    Attributes:
        name: Of the target.
        values: The distinct ones in the units of the data, the farthest first; at most three.
        count: How many samples have such a value.
        gap: Distance of the nearest of them from the median by that of the farthest other value.
        core: Standard deviation of all other values by that of all.
        ratio: Standard deviation of all values by the robust one, from the median absolute deviation; 0 if that is 0.
        median_error: Median absolute deviation, in standard deviations of the targets as the data say them.
    """

    name: str
    values: tuple[float, ...]
    count: int
    gap: float
    core: float
    ratio: float
    median_error: float


def target_outliers(bundle: DataBundle) -> list[TargetOutliers]:
    """The most distant training targets of each name; [] for other targets than values, and where no gap is."""
    spec = bundle.spec.targets
    if not isinstance(spec, ValueSpec):
        return []
    values = tensor_of(bundle.splits["train"].targets).double().cpu().numpy().reshape(-1, len(spec.names))
    found = (
        outliers_of(name, column[np.isfinite(column)], std)
        for name, column, std in zip(spec.names, values.T, spec.std, strict=True)
    )
    return [one for one in found if one is not None]


def outliers_of(name: str, values: NDArray[np.float64], std: float) -> TargetOutliers | None:
    """The values beyond the widest gap, None if there is none.

    Args:
        name: Of the target.
        values: N in the units of the data.
        std: Deviation that the data say of them.
    """
    if len(values) < 2 * _LEAST or not values.std() > 0:
        return None
    median = float(np.median(values))
    away = np.abs(values - median)
    ordered = np.sort(away)
    first = len(ordered) - 1 - max(1, int(_MOST * len(ordered)))
    inner, outer = ordered[first:-1], ordered[first + 1 :]
    steps = np.where(inner > 0, outer / np.maximum(inner, 1e-300), 1.0)
    at = int(steps.argmax())
    is_far = away > inner[at]
    if (~is_far & (away > 0)).sum() < max(_LEAST, _TIMES * is_far.sum()) or not steps[at] > 1:
        return None
    distinct = sorted(set(values[is_far].tolist()), key=lambda one: -abs(one - median))
    robust = float(np.median(away))
    return TargetOutliers(
        name,
        tuple(distinct[:3]),
        int(is_far.sum()),
        float(steps[at]),
        float(values[~is_far].std() / values.std()),
        float(values.std()) / (_SIGMAS * robust) if robust > 0 else 0.0,
        robust / std if std > 0 else 0.0,
    )
