"""Student's t distribution, for any degrees of freedom, without loading a library for it.

Source: NIST Handbook of Mathematical Functions 8.17 (the regularized incomplete beta function and its continued
fraction, evaluated as in Lentz 1976).
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_TINY, _ENOUGH, _MOST_TERMS, _MOST_STEPS = 1e-300, 1e-15, 500, 100


def two_sided(t: float, degrees: float) -> float:
    """Probability of a |value| of `t` or more, in [0, 1]; degrees > 0."""
    if degrees <= 0:
        raise ValueError(f"degrees={degrees}: Student's t has degrees of freedom above 0")
    return 0.0 if math.isinf(t) else _beta(degrees / (degrees + t * t), degrees / 2, 0.5)


@lru_cache(maxsize=4096)
def two_sided_point(probability: float, degrees: float) -> float:
    """The t >= 0 whose `two_sided` probability is `probability`, in (0, 1): 1.96 for 0.05 and very many degrees."""
    if not 0 < probability < 1:
        raise ValueError(f"probability={probability}: must lie between 0 and 1")
    # The normal point lies below it, and from below Newton's steps on a convex function never go too far.
    t = -NormalDist().inv_cdf(probability / 2)
    norm = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - 0.5 * math.log(degrees * math.pi)
    for _ in range(_MOST_STEPS):
        density = math.exp(norm - (degrees + 1) / 2 * math.log1p(t * t / degrees))
        step = (two_sided(t, degrees) - probability) / (2 * density)
        t += step
        if step <= _ENOUGH * t:  # below 0 is rounding: the steps change their sign at the root only
            break
    return t


def _beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function I_x(a, b)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x > (a + 1) / (a + b + 2):  # where the fraction of the other side converges faster
        return 1 - math.exp(front) * _fraction(1 - x, b, a) / b
    return math.exp(front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    value = c = 1.0
    d = 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _ENOUGH:
            break
    return value


def _away_from_zero(number: float) -> float:
    return number if abs(number) > _TINY else _TINY
