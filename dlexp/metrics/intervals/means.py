"""Intervals of means of values of each sample, such as errors: studentized, since a few large ones skew a mean.

Symbols: N samples, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dlexp.metrics.bootstrap import Floats, Interval, Resampling, resampled
from dlexp.metrics.intervals.studentized import bootstrap_t, mean_and_error
from dlexp.metrics.intervals.values import STUDENTIZED


def mean_intervals(columns: Mapping[str, Floats], resampling: Resampling | None) -> dict[str, Interval]:
    """Name -> interval of the mean of each column (N,), N >= 1; none without resamples, or for one not finite."""
    if resampling is None or not resampling.resamples:
        return {}
    finite = {name: column for name, column in columns.items() if np.isfinite(column).all()}

    def drawn(counts: Floats) -> dict[str, Floats]:
        found = {}
        for name, column in finite.items():
            found[name], found[f"{name}/error"] = mean_and_error(counts, column)
        return found

    if not finite:
        return {}
    count = len(next(iter(finite.values())))
    value = drawn(np.ones((1, count)))
    made = resampled(drawn, count, resamples=resampling.resamples, seed=resampling.seed)
    found = {}
    for name in finite:
        own = float(value[name][0]), float(value[f"{name}/error"][0])
        bounds = bootstrap_t(own, (made[name], made[f"{name}/error"]), resampling.level)
        if bounds is not None:
            found[name] = Interval(*bounds, method=STUDENTIZED)
    return found
