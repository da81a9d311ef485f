"""Distances between two sets of samples in a space of features, and between two histograms of classes.

Symbols: N samples, M samples of another set, F features, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

__all__ = ["class_distance", "frechet_distance", "frechet_of_gaussians"]


def frechet_distance(first: ArrayLike, second: ArrayLike) -> float:
    """The Frechet distance of the Gaussians with the mean and the covariance of two sets, (N, F) and (M, F).

    It is biased: two sets of the same distribution are farther apart than 0, the more the fewer they are, and with no
    more samples than features the covariance has no full rank. So compare it only with the same figure of sets of the
    same sizes (Heusel et al. 2017; the bias: Chong and Forsyth 2020). Raises ValueError for fewer than two samples.
    """
    one, other = _moments(first), _moments(second)
    return frechet_of_gaussians(*one, *other)


def frechet_of_gaussians(mean: Floats, covariance: Floats, other_mean: Floats, other_covariance: Floats) -> float:
    """The squared 2-Wasserstein distance of two Gaussians, at least 0 (Dowson and Landau 1982).

        |m - n|^2 + tr(A) + tr(B) - 2 tr((A^(1/2) B A^(1/2))^(1/2))

    Both roots are those of symmetric matrices, so that covariances without full rank need no small number on their
    diagonal, and nothing becomes complex.

    Args:
        mean: m, (F,).
        covariance: A, (F, F), positive semidefinite.
        other_mean: n, (F,).
        other_covariance: B, (F, F).
    """
    root = _root(covariance)
    middle = root @ other_covariance @ root
    eigenvalues = np.linalg.eigvalsh((middle + middle.T) / 2)
    shared = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
    apart = float(np.square(mean - other_mean).sum())
    return max(0.0, apart + float(np.trace(covariance) + np.trace(other_covariance) - 2 * shared))


def class_distance(first: ArrayLike, second: ArrayLike) -> float:
    """The symmetric chi-square distance of two histograms (C,), in [0, 1]: half the sum of (p - q)^2 / (p + q).

    The histograms are counts or shares; 0 for equal shares, 1 for no class in common. Raises ValueError for an empty
    one.
    """
    p, q = _shares(first), _shares(second)
    there = p + q > 0
    return float((np.square(p - q)[there] / (p + q)[there]).sum() / 2)


def _moments(samples: ArrayLike) -> tuple[Floats, Floats]:
    values = np.asarray(samples, dtype=np.float64)
    if len(values) < 2:
        raise ValueError(f"{len(values)} samples have no covariance")
    return values.mean(axis=0), np.atleast_2d(np.cov(values, rowvar=False))


def _root(matrix: Floats) -> Floats:
    """The symmetric square root of a positive semidefinite matrix; eigenvalues that rounding made negative are 0."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    root: Floats = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def _shares(counts: ArrayLike) -> Floats:
    values = np.asarray(counts, dtype=np.float64)
    if not values.sum() > 0:
        raise ValueError("a histogram without samples has no shares")
    found: Floats = values / values.sum()
    return found
