"""Intervals of means and of what is like a mean, by resampling with the error of each resample.

A mean of few large numbers among many small ones, such as a log loss, is skewed, and the percentiles of resampled means
miss it on one side. The bootstrap-t takes that into account: it resamples (mean - value) / standard error (Efron 1979,
Hall 1988).

Symbols: N samples, R resamples, K columns.
"""

from __future__ import annotations

import numpy as np

from dlexp.metrics.bootstrap import Floats

Bounds = tuple[float, float]


def mean_and_error(counts: Floats, column: Floats) -> tuple[Floats, Floats]:
    """(R,) means of a column (N,) over resamples, and sqrt(N) times their standard errors."""
    samples = counts.sum(axis=1)
    center = column.mean()  # around it, or the square of a large mean leaves nothing of a small variance
    means, squares = counts @ (column - center) / samples, counts @ (column - center) ** 2 / samples
    return means + center, np.sqrt(np.maximum(squares - means**2, 0.0))


def bootstrap_t(value: tuple[float, float], resampled: tuple[Floats, Floats], level: float) -> Bounds | None:
    """The bounds from (value, error) and those of the resamples (R,) each; None where they are infinite or undefined.

    A resample without an error, all of whose samples are alike, is infinitely far from the value.
    """
    (mean, error), (means, errors) = value, resampled
    if error <= 0:
        return mean, mean
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = (means - mean) / np.where(errors > 1e-9 * error, errors, 0.0)
    distances = distances[~np.isnan(distances)]
    if not len(distances):
        return None
    high, low = np.quantile(distances, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf") * error
    return (float(mean - low), float(mean - high)) if np.isfinite(low) and np.isfinite(high) else None


def distances(means: Floats, value: Floats) -> tuple[Floats, Floats]:
    """Of the sum of K absolute means: it, and how far the K means moved in all, over resamples, (R,) each.

    The sum is above its true value by chance, since every mean is a little off 0. By the triangle inequality it is at
    most as far above as the means are off.

    Args:
        means: (R, K) of the resamples.
        value: (K,) of the samples themselves.
    """
    return np.abs(means).sum(axis=1), np.abs(means - value).sum(axis=1)
