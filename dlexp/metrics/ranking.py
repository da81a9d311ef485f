"""How well scores put the samples of a class before all others: areas under two curves, for resamples at once.

Symbols: N samples, C classes, R resamples, G groups of equal scores that hold a positive; a positive is a sample of the
class. Samples with equal scores are told apart by nothing: they come at one threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats

Counts = NDArray[np.floating[Any]]  # float32 halves the bytes, and whole numbers are exact in it up to 2^24
Areas = tuple[Floats, Floats]
Numbers = NDArray[np.int64]
_FEW = 16  # positives, for which counting takes less time than sorting


@dataclass(frozen=True)
class Curve:
    """A threshold's worth of points, from the strictest threshold on: shares in [0, 1].

    false_positive_rate, recall  the ROC curve
    precision                    with recall the precision-recall curve
    """

    false_positive_rate: Floats
    recall: Floats
    precision: Floats


def areas(scores: Floats, positive: NDArray[np.bool_]) -> Callable[[Counts], Areas]:
    """What counts (R, N) give for scores (N,): the area under the ROC curve and the average precision, (R,) each.

    The first is the probability that a positive comes before a negative, equals for a half (Mann & Whitney 1947). The
    second is the sum over thresholds of (gain of recall) * precision. NaN where a resample has no positive, and for the
    first where it has no negative.

    Sorting is done once. Only the G groups that hold a positive matter: what lies between two of them is one sum.
    """
    order = np.argsort(-scores)
    sorted_scores, is_positive = scores[order], positive[order]
    positives = np.flatnonzero(is_positive)
    if not len(positives):
        return lambda counts: (np.full(len(counts), np.nan), np.full(len(counts), np.nan))
    first = np.flatnonzero(np.r_[True, sorted_scores[1:] != sorted_scores[:-1]])
    last = np.r_[first[1:], len(scores)]
    group = np.unique(np.searchsorted(first, positives, side="right") - 1)
    begin, end = first[group], last[group]
    edges = np.stack([np.r_[0, end[:-1]], begin], axis=1).ravel()  # between two groups, then the group
    is_empty = np.flatnonzero(np.r_[edges[1:], end[-1]] == edges)
    starts = np.searchsorted(positives, begin)
    where_positive, order = order[positives], order[: end[-1]]

    def of(counts: Counts) -> Areas:
        sums = np.add.reduceat(counts.take(order, axis=1), edges, axis=1)
        sums[:, is_empty] = 0  # reduceat gives an element for an empty piece
        hits = np.add.reduceat(counts.take(where_positive, axis=1), starts, axis=1)
        misses = sums[:, 1::2] - hits
        before = np.cumsum(sums[:, 0::2] + misses, axis=1) - misses  # negatives above the group
        total_hits, samples = hits.sum(axis=1, dtype=np.float64), counts.sum(axis=1, dtype=np.float64)
        pairs = total_hits * (samples - total_hits)
        lost = (hits * (before + misses / 2)).sum(axis=1, dtype=np.float64)
        taken = np.cumsum(hits, axis=1)
        share = np.divide(hits * taken, taken + before + misses, out=np.zeros_like(hits), where=hits > 0)
        return (
            1 - np.divide(lost, pairs, out=np.full(len(counts), np.nan), where=pairs > 0),
            np.divide(
                share.sum(axis=1, dtype=np.float64),
                total_hits,
                out=np.full(len(counts), np.nan),
                where=total_hits > 0,
            ),
        )

    return of


def plain_areas(scores: Floats, positives: Numbers) -> tuple[float, float]:
    """What `areas` gives where every sample counts once, for scores (N,) and the places of the positives.

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


def curve(scores: Floats, positive: NDArray[np.bool_]) -> Curve:
    """Both curves of scores (N,), a point for each threshold; there must be a positive and a negative."""
    count = int(positive.sum())
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.r_[scores[order][1:] != scores[order][:-1], True])
    hits = np.cumsum(positive[order])[last]
    called = last + 1
    return Curve(
        np.r_[0.0, (called - hits) / (len(positive) - count)],
        np.r_[0.0, hits / count],
        np.r_[hits[0] / called[0], hits / called],
    )
