"""Intervals of shares and of means of shares, which cover where resampling does not: all right leave nothing to draw.

Symbols: n trials, x hits, C classes, m samples of a class and n of the others, z the normal quantile of the level.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from dlexp.metrics.bootstrap import Floats

Bounds = tuple[float, float]
_HALVINGS = 60


def exact(hits: ArrayLike, trials: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """The bounds of the share that x hits in n trials are of; arrays broadcast. NaN where there is no trial.

    It covers the true share at least as often as `level` says, whatever it is and however few the trials are, and more
    often than that (Clopper and Pearson 1934): quantiles of Beta(x, n - x + 1) and Beta(x + 1, n - x).
    """
    from scipy.special import betaincinv  # takes a third of a second to import, and only an evaluation needs it

    found, of = np.broadcast_arrays(np.asarray(hits, np.float64), np.asarray(trials, np.float64))
    missed, tail = of - found, (1 - level) / 2
    low = np.where(found > 0, betaincinv(np.maximum(found, 1), missed + 1, tail), 0.0)
    high = np.where(missed > 0, betaincinv(found + 1, np.maximum(missed, 1), 1 - tail), 1.0)
    return np.where(of > 0, low, np.nan), np.where(of > 0, high, np.nan)


def exact_f1(hits: ArrayLike, either: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """The bounds of F1 = 2 J / (1 + J), where J = x / n is a share: of the n samples of a class or called so, hits."""
    low, high = exact(hits, either, level)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def mean_of_shares(lost: float, errors: Floats, weights: Floats, level: float) -> Bounds:
    """The bounds of a mean of shares of different sizes, such as recalls: 1 - `lost`.

    lost     what the errors take away, at most 1: the sum of `errors` and of what is lost for certain
    errors   what each wrong sample takes away
    weights  what one more wrong sample of each class would take away, (C,)

    Beta distributions of the mean and the variance of the loss, with one more sample spread over the classes: the
    bounds of Fay and Feuer (1997) for weighted sums of rare events in the form of Tiwari, Clegg and Zou (2006), and of
    shares in place of rates. The variance is that of the errors together, not within each class, since a class with one
    sample has none. Of one class it is nearly Clopper and Pearson's.
    """
    step, squared, spread = float(weights.mean()), float((weights**2).mean()), float((errors**2).sum())
    kept, tail = 1 - lost, (1 - level) / 2
    most = 1.0 if kept <= 0 else _beta_point((lost + step) / (1 + step), (spread + squared) * kept, 1 - tail)
    least = 0.0 if lost <= 0 else _beta_point(lost / (1 + step), spread * kept + squared * lost, tail)
    return 1 - most, 1 - least


def area(value: float, positives: Floats, weights: Floats, total: int, level: float) -> Bounds:
    """The bounds of an area under the ROC curve, or of a mean over classes of them with `weights` that add up to 1.

    Those areas that the value is within z standard errors of, where the error is that of the candidate (Newcombe 2006,
    method 5): the variance of Hanley and McNeil (1982), q1 = a / (2 - a), q2 = 2 a^2 / (1 + a):

        (a (1 - a) + (m - 1) (q1 - a^2) + (n - 1) (q2 - a^2)) / (m n)

    In a mean over classes the positives of each are others; the same negatives are in many, so their part is taken as
    shared by all of them.
    """
    others = total - positives

    def variance(a: float) -> float:
        pairs = positives * others
        same_negative = (positives - 1) * (a / (2 - a) - a * a) / pairs
        same_positive = (others - 1) * (2 * a * a / (1 + a) - a * a) / pairs
        own = a * (1 - a) / pairs + same_positive
        if len(positives) == 1:
            return float((own + same_negative)[0])
        return float((weights**2 * own).sum() + (weights * same_negative).sum())

    return _candidates(value, variance, level)


def score(value: float, trials: float, level: float) -> Bounds:
    """The bounds of a share of n trials, not necessarily a whole number (Wilson 1927)."""
    return _candidates(value, lambda share: share * (1 - share) / trials, level)


def _candidates(value: float, variance: Callable[[float], float], level: float) -> Bounds:
    """The least and the largest number in [0, 1] that `value` is within z of its standard errors from."""
    z = NormalDist().inv_cdf((1 + level) / 2)

    def edge(far: float) -> float:
        near = value
        for _ in range(_HALVINGS):
            middle = (far + near) / 2
            if abs(value - middle) > z * max(variance(middle), 0.0) ** 0.5:
                far = middle
            else:
                near = middle
        return near

    return edge(0.0), edge(1.0)


def _beta_point(mean: float, variance: float, probability: float) -> float:
    """The quantile of the Beta distribution with this mean and variance."""
    from scipy.special import betaincinv

    size = mean * (1 - mean) / variance - 1
    return float(betaincinv(max(mean * size, 1e-9), max((1 - mean) * size, 1e-9), probability))
