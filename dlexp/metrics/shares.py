"""Intervals of shares, which cover where resampling does not: 359 right of 359 leave nothing to resample.

Symbols: n trials, x hits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dlexp.metrics.bootstrap import Floats

EXACT = "Clopper-Pearson"


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
