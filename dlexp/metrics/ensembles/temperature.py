"""One temperature for probabilities, fitted where a network or an ensemble was not trained.

Log losses of networks that are sure in different degrees compare how they are calibrated and not what they know, so
they are compared at the temperature that is best for each (Ashukha et al., Pitfalls of In-Domain Uncertainty Estimation
and Ensembling in Deep Learning, ICLR 2020).

Symbols: N samples, C classes.
"""

from __future__ import annotations

import numpy as np

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.confusion import Numbers

LOWEST, HIGHEST = 0.05, 20.0
_STEPS = 60


def tempered(logs: Floats, temperature: float) -> Floats:
    """ln p (N, C) -> ln of the probabilities that are proportional to p^(1 / temperature)."""
    if temperature == 1:
        return logs
    scaled = logs / temperature
    largest = scaled.max(axis=1, keepdims=True)
    return np.asarray(scaled - largest - np.log(np.exp(scaled - largest).sum(axis=1, keepdims=True)))


def true_losses(logs: Floats, targets: Numbers) -> Floats:
    """(N,) -ln p of the true class, of ln p (N, C) and targets (N,)."""
    return np.asarray(-np.take_along_axis(logs, targets[:, None], axis=1)[:, 0])


def fitted_temperature(logs: Floats, targets: Numbers) -> float:
    """The temperature of the smallest log loss, in [0.05, 20]; 1 where no sample has a finite loss.

    The log loss is convex in b = 1 / temperature, so its derivative, the mean over the samples of E[ln p] - ln p of the
    true class, has one zero, which halving finds to every digit.
    """
    own = -true_losses(logs, targets)
    known = np.isfinite(own)
    if not known.any():
        return 1.0
    logs, own = logs[known], own[known]
    finite = np.where(np.isfinite(logs), logs, 0.0)  # times a probability of 0

    def slope(b: float) -> float:
        return float(((np.exp(tempered(logs, 1 / b)) * finite).sum(axis=1) - own).mean())

    low, high = np.log(1 / HIGHEST), np.log(1 / LOWEST)
    if slope(float(np.exp(low))) >= 0:
        return HIGHEST
    if slope(float(np.exp(high))) <= 0:
        return LOWEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(float(np.exp(middle))) > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))
