"""Predictions of samples by a model that has not seen them: kernel ridge regression over folds.

A Gaussian kernel with landmarks (Nystroem; Williams & Seeger 2001) and ridge regression of the targets, which needs one
symmetric eigenvalue problem per fold. Its width and ridge are those of the smallest held-out error of a few.

Symbols: N samples, F features, O outputs, M landmarks, K folds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.data.splits.groups import deal_groups
from dlexp.runtime.seed import derive, numbers

_LANDMARKS = 300
_WIDTHS = (0.5, 2.0)  # factors of the inverse of the median squared distance
_RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True)
class HeldOut:
    """Predictions of samples that the model has not seen.

    scores  (N, O) predicted targets
    error   mean squared error
    """

    scores: NDArray[np.float64]
    error: float


def folds(
    labels: NDArray[np.int64] | None, count: int, number: int, seed: int, groups: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """(N,) the fold of each sample, in [0, K): stratified by class; samples of a group are in one fold.

    Args:
        labels: (N,) class numbers, None for samples without classes.
        count: N.
        number: K, at least 2.
        seed: Seed of the draw.
        groups: (N,) group numbers of any values, None for samples that are independent.
    """
    if groups is not None:
        present, own = np.unique(groups, return_inverse=True)
        shares = [1 / min(number, len(present))] * min(number, len(present))
        return deal_groups(own.astype(np.int64), labels, shares, derive(seed, "folds") % (1 << 32))
    rng = numbers(seed, "diagnosis", "folds", count)
    order = rng.permutation(count)
    if labels is not None:  # samples of a class one after the other, each class in a random order
        order = order[labels[order].argsort(kind="stable")]
    fold = np.empty(count, dtype=np.int64)
    fold[order] = np.arange(count) % number
    return fold


def predicted_values(
    features: NDArray[np.float64],
    targets: NDArray[np.float64],
    fold: NDArray[np.int64],
    seed: int,
    is_quick: bool = False,
) -> HeldOut:
    """Held-out predictions.

    Args:
        features: (N, F) of deviation about 1.
        targets: (N, O).
        fold: (N,) the fold of each sample, in [0, K).
        seed: Seed of the choice of landmarks.
        is_quick: A quarter of the landmarks, and one width.
    """
    best: HeldOut | None = None
    for mapped in _maps(features, seed, _LANDMARKS // 4 if is_quick else _LANDMARKS, _WIDTHS[is_quick:]):
        for scores in _over_folds(mapped, targets, fold):
            error = float(((scores - targets) ** 2).mean())
            if best is None or error < best.error:
                best = HeldOut(scores, error)
    assert best is not None
    return best


def held_out_probabilities(
    features: NDArray[np.float64], labels: NDArray[np.int64], classes: int, fold: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Held-out class probabilities (N, classes): least-squares estimates, within 0 and 1 and of sum 1."""
    found = predicted_values(features, np.eye(classes)[labels], fold, seed).scores.clip(0, 1) + 1e-6
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _maps(
    features: NDArray[np.float64], seed: int, landmarks: int, widths: tuple[float, ...]
) -> Iterator[NDArray[np.float64]]:
    """(N, M + 1 at most) features whose products are a kernel, and 1, for each width; and the features themselves."""
    count = len(features)
    chosen = np.sort(numbers(seed, "diagnosis", "landmarks", count).permutation(count)[:landmarks])
    marks = features[chosen]
    far, among = _distances(features, marks), _distances(marks, marks)
    middle = float(np.median(among[np.triu_indices(len(marks), 1)])) or 1.0
    for width in widths:
        values, vectors = np.linalg.eigh(np.exp(-width * among / middle))
        kept = values > 1e-7 * values[-1]
        yield _with_one(np.exp(-width * far / middle) @ (vectors[:, kept] / np.sqrt(values[kept])))
    if features.shape[1] < count:
        yield _with_one(features / np.sqrt(features.shape[1]))


def _with_one(mapped: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([mapped, np.ones((len(mapped), 1))], axis=1)


def _over_folds(
    mapped: NDArray[np.float64], targets: NDArray[np.float64], fold: NDArray[np.int64]
) -> list[NDArray[np.float64]]:
    """Held-out predictions (N, O) for each ridge."""
    square, cross = mapped.T @ mapped, mapped.T @ targets
    found = [np.zeros_like(targets) for _ in _RIDGES]
    for number in np.unique(fold).tolist():
        own = np.flatnonzero(fold == number)
        some = mapped[own]
        values, vectors = np.linalg.eigh(square - some.T @ some)
        turned, projected = vectors.T @ (cross - some.T @ targets[own]), some @ vectors
        for scores, ridge in zip(found, _RIDGES, strict=True):
            scores[own] = projected @ (turned / (np.maximum(values, 0) + ridge)[:, None])
    return found


def _distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M) squared distances."""
    squares = (one * one).sum(axis=1)[:, None] + (other * other).sum(axis=1) - 2 * one @ other.T
    return np.asarray(np.maximum(squares, 0))
