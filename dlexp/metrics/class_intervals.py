"""How sure each metric of classes is.

Symbols: N samples, C classes, R resamples.
"""

from __future__ import annotations

import numpy as np

from dlexp.metrics.bootstrap import Floats, Interval, Resampling, intervals
from dlexp.metrics.scores import RANKING, ClassSamples
from dlexp.metrics.shares import exact, exact_f1

_MOST_WORK = 1_000_000_000  # numbers to go through for the intervals of areas: seconds, not minutes


def class_intervals(found: ClassSamples, resampling: Resampling) -> dict[str, Interval]:
    """Metric -> interval."""
    work = resampling.resamples * len(found) * found.num_classes
    statistic = found.statistic(ranking=work <= _MOST_WORK)
    level, seed = resampling.level, resampling.seed
    sure = intervals(statistic, len(found), resamples=resampling.resamples, level=level, seed=seed)
    if work > _MOST_WORK:
        fits = _MOST_WORK // (len(found) * found.num_classes)
        reason = f"{work:,} numbers to go through; at most {fits:,} resamples are made of so many samples and classes"
        sure |= {name: Interval(None, None, 0, reason) for name in RANKING}
    return sure


def each_class(found: ClassSamples, level: float) -> dict[str, tuple[Floats, Floats]]:
    """Metric -> (low, high) of each class, (C,) each; NaN where there is no interval."""
    true = np.bincount(found.targets, minlength=found.num_classes)
    predicted = np.bincount(found.predicted, minlength=found.num_classes)
    hits = np.bincount(found.targets[found.targets == found.predicted], minlength=found.num_classes)
    return {
        "precision": exact(hits, predicted, level),
        "recall": exact(hits, true, level),
        "f1": exact_f1(hits, true + predicted - hits, level),
    }
