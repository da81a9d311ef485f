"""Ranking of the samples of a class before all others by their scores: two curves, and the areas under them.

Symbols: N samples, C classes; a positive is a sample of the class.
Samples with equal scores cannot be separated: they come at one threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats

Numbers = NDArray[np.int64]
_MOST_POINTS = 10_000  # of a curve that is left as it is; more than a figure has pixels
_STEPS = 2000  # of each rate
_FEW = 16  # positives, for which counting takes less time than sorting


@dataclass(frozen=True)
class RankingCurve:
    """A threshold's worth of points, from the strictest threshold on: shares in [0, 1].

    false_positive_rate, recall  the ROC curve
    precision                    with recall the precision-recall curve
    """

    false_positive_rate: Floats
    recall: Floats
    precision: Floats


def areas(scores: Floats, positives: Numbers) -> tuple[float, float]:
    """The area under the ROC curve and the average precision for scores (N,) and the places of the positives.

    The first is the probability that a positive comes before a negative, equals for a half (Mann & Whitney 1947). The
    second is the sum over thresholds of (gain of recall) * precision, which is the mean over the positives of the
    precision where each is reached. NaN without a positive, and for the first without a negative.

    Each positive is compared with the others by counting, or where there are many, by looking it up in the sorted ones.
    """
    count, total = len(positives), len(scores)
    if not count:
        return float("nan"), float("nan")
    own = np.sort(scores[positives])
    if count <= _FEW:
        above = (scores > own[:, None]).sum(axis=1)
        level = (scores >= own[:, None]).sum(axis=1)
    else:
        ordered = np.sort(scores)
        above = total - np.searchsorted(ordered, own, side="right")
        level = total - np.searchsorted(ordered, own, side="left")
    own_above = count - np.searchsorted(own, own, side="right")
    own_level = count - np.searchsorted(own, own, side="left")
    precision = float((own_level / level).mean())
    if count == total:
        return float("nan"), precision
    lost = ((above - own_above) + (level - own_level)).sum() / 2
    return float(1 - lost / (count * (total - count))), precision


def averaged(areas_of: Floats, true: Floats) -> tuple[Floats, Floats]:
    """(R, C) areas and (R, C) samples -> (R,) twice: the mean over all classes, and weighted by their samples.

    The mean is NaN where one class has no area. A class without samples weighs nothing.
    """
    weighted = np.where(true > 0, areas_of * true, 0.0).sum(axis=1) / true.sum(axis=1)
    return areas_of.mean(axis=1), weighted


def curve(scores: Floats, positive: NDArray[np.bool_]) -> RankingCurve:
    """Both curves of scores (N,), a point for each threshold; there must be a positive and a negative."""
    count = int(positive.sum())
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.r_[scores[order][1:] != scores[order][:-1], True])
    hits = np.cumsum(positive[order])[last]
    called = last + 1
    return RankingCurve(
        np.r_[0.0, (called - hits) / (len(positive) - count)],
        np.r_[0.0, hits / count],
        np.r_[hits[0] / called[0], hits / called],
    )


def thinned(full: RankingCurve) -> RankingCurve:
    """The same curve for a figure, at most about 16,000 points of it.

    Of all points within a thousandth of either rate the first, the last and those of extreme precision remain, so that
    no spike is lost.
    """
    count = len(full.recall)
    if count <= _MOST_POINTS:
        return full
    steps = np.floor(full.recall * _STEPS) + np.floor(full.false_positive_rate * _STEPS)  # both only grow
    starts = np.r_[0, np.flatnonzero(np.diff(steps)) + 1]
    ends = np.r_[starts[1:], count] - 1
    by_precision = np.lexsort((full.precision, steps))
    kept = np.unique(np.concatenate([starts, ends, by_precision[starts], by_precision[ends]]))
    return RankingCurve(*(column[kept] for column in (full.false_positive_rate, full.recall, full.precision)))
