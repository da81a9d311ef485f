"""Weights of the members of an ensemble, chosen on samples that none of them was trained on.

Symbols: K members, N samples, O values of a sample.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlexp.metrics.bootstrap import Floats

Objective = Callable[[Floats], float]  # weights (K,) that add up to 1 -> what is to become small
_ROUNDS = 100
_STEPS = 10_000
_ENOUGH = 1e-10  # change of a weight at which it counts as found


def mixture_loss(true_probabilities: Floats) -> Objective:
    """The mean of -ln p over N samples of a mixture: probability of the true class by each member, (K, N)."""

    def loss(weights: Floats) -> float:
        with np.errstate(divide="ignore"):
            return float(-np.log(weights @ true_probabilities).mean())

    return loss


def mean_square(errors: Floats) -> Objective:
    """The mean squared error of the weighted mean: errors of each member, (K, N, O) in comparable units."""

    def loss(weights: Floats) -> float:
        return float((np.tensordot(weights, errors, axes=1) ** 2).mean())

    return loss


def vote_errors(votes: Floats, targets: np.ndarray) -> Objective:
    """The share of N samples that a weighted vote gets wrong: votes of each member (K, N, C), targets (N,)."""

    def loss(weights: Floats) -> float:
        return float((np.tensordot(weights, votes, axes=1).argmax(axis=1) != targets).mean())

    return loss


def greedy_weights(objective: Objective, count: int, rounds: int = _ROUNDS) -> tuple[int, ...]:
    """How often each of K members is taken, when the one that helps most is added again and again.

    Members may be taken more than once, which is what gives them weights. Rounds are made until K in a row have not
    improved the objective, or until `rounds`, and the best of the selections on the way counts: the first one is the
    best single member, so the result is never worse than that on these samples.

    Source: Caruana et al., Ensemble Selection from Libraries of Models, ICML 2004, with replacement.
    """
    counts = np.zeros(count, dtype=np.int64)
    best, best_value, waited = counts, np.inf, 0
    for size in range(1, rounds + 1):
        tried = [objective((counts + np.eye(count)[k]) / size) for k in range(count)]
        counts = counts + np.eye(count, dtype=np.int64)[int(np.argmin(tried))]
        if min(tried) < best_value:
            best, best_value, waited = counts, min(tried), 0
        else:
            waited += 1
        if waited >= count:
            break
    if not best.any():  # no member has a finite objective
        best = np.ones(count, dtype=np.int64)
    return tuple(best.tolist())


def stacked_mixture(true_probabilities: Floats) -> tuple[float, ...]:
    """The weights of the smallest log loss of a mixture, from the probability of the true class, (K, N).

    The log loss is convex in the weights, and each step of expectation maximization makes it smaller:
    w_k <- mean over the samples of w_k p_kn / sum_j w_j p_jn.

    Sources: Dempster et al. 1977; Yao et al., Using Stacking to Average Bayesian Predictive Distributions, 2018.
    """
    count = len(true_probabilities)
    # A sample that no member thinks possible says nothing about the weights.
    known = true_probabilities[:, true_probabilities.sum(axis=0) > 0]
    weights = np.full(count, 1 / count)
    for _ in range(_STEPS if known.size else 0):
        shares = weights[:, None] * known
        new = (shares / shares.sum(axis=0)).mean(axis=1)
        change, weights = float(np.abs(new - weights).max()), new
        if change < _ENOUGH:
            break
    return tuple((weights / weights.sum()).tolist())


def stacked_values(errors: Floats) -> tuple[float, ...]:
    """The weights of at least 0, adding up to 1, of the smallest mean squared error; errors (K, N, O).

    With weights that add up to 1 the error of the mean is the mean of the errors, so their Gram matrix is minimized on
    the simplex: least squares without negative numbers, with a row of large numbers that holds the sum at 1.

    Source: Breiman, Stacked Regressions, 1996.
    """
    from scipy.optimize import nnls  # here, since only this needs it

    flat = errors.reshape(len(errors), -1)
    unit = np.sqrt((flat**2).mean()) or 1.0
    gram = (flat / unit) @ (flat / unit).T / flat.shape[1]
    values, vectors = np.linalg.eigh(gram)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    heavy = 1e4 * max(1.0, float(np.abs(root).max()))
    weights, _ = nnls(np.vstack([root, np.full((1, len(errors)), heavy)]), np.append(np.zeros(len(errors)), heavy))
    return tuple((weights / weights.sum()).tolist())
