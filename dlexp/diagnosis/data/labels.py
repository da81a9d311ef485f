"""Labels that contradict what the other samples say.

A model that has not seen a sample predicts its class (`held_out`). Where the model is sure, clean labels agree with it
almost always; random wrong labels contradict it there as often as anywhere, so the share of contradictions among the
sure samples estimates the share of wrong labels. A sample is sure if the two likeliest classes are far apart, also
after division by how frequent they are, so that a model that only knows the frequencies is sure of nothing. Samples are
ranked by their normalized margin (confident learning; Northcutt et al. 2021).

Symbols: N samples, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.intervals.shares import exact

_SURE = 0.5  # distance of the two likeliest classes
_WRONG = -0.3  # probability of the given class, less that of the likeliest other one
_NEIGHBORS = 10
_MOSTLY = 0.7  # of the neighbors that have the likelier class


@dataclass(frozen=True)
class SuspectedLabel:
    """A label that is probably wrong.

    Attributes:
        index: Number of the sample in the source.
        split: Name of its split.
        given: Its class number.
        likelier: The class number that the other samples say.
        confidence: Probability of the likelier class less that of the given one, in [0.3, 1].
    """

    index: int
    split: str
    given: int
    likelier: int
    confidence: float


@dataclass(frozen=True)
class Contradictions:
    """How often labels contradict a model that has not seen them.

    Attributes:
        samples: N.
        sure: Samples of which the model is sure.
        contradicting: Those of them with another label.
        rate: Estimated share of wrong labels: contradicting / sure; 0 if the model is sure of nothing.
        low: Lower limit of its exact 95 % interval.
        high: Upper limit.
        confirmed: Share of the contradicting samples whose nearest neighbors mostly have the likelier class.
        classes: Classes, as predicted, among which labels contradict at half the rate at least.
        accuracy: Share of all samples whose label is the model's.
        suspects: Labels that are probably wrong, the surest first.
    """

    samples: int
    sure: int
    contradicting: int
    rate: float
    low: float
    high: float
    confirmed: float
    classes: int
    accuracy: float
    suspects: tuple[SuspectedLabel, ...]


def contradictions(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    neighbors: NDArray[np.int64],
    indices: NDArray[np.int64],
    splits: NDArray[np.str_],
) -> Contradictions:
    """Compare labels with probabilities of a model that has not seen them.

    Args:
        probabilities: (N, C) of each class.
        labels: (N,) given class numbers.
        neighbors: (N, K) positions of the nearest other samples.
        indices: (N,) sample numbers in the source.
        splits: (N,) names of the splits.
    """
    count, classes = probabilities.shape
    frequent = np.maximum(np.bincount(labels, minlength=classes) / count, 1 / count)
    corrected = probabilities / frequent
    corrected /= corrected.sum(axis=1, keepdims=True)
    guess = probabilities.argmax(axis=1)
    ahead = np.minimum(_lead(probabilities, guess), _lead(corrected, guess))
    sure = ahead >= _SURE
    against = sure & (guess != labels)
    total, wrong = int(sure.sum()), int(against.sum())
    low, high = (float(np.asarray(limit)) for limit in exact(wrong, total, 0.95)) if total else (0.0, 1.0)
    votes = (labels[neighbors] == guess[:, None]).mean(axis=1)
    by_class = [against[sure & (guess == number)].mean() for number in np.unique(guess[sure])]
    rate = wrong / total if total else 0.0
    return Contradictions(
        count,
        total,
        wrong,
        rate,
        low,
        high,
        float((votes[against] >= _MOSTLY).mean()) if wrong else 0.0,
        sum(bool(share >= rate / 2) for share in by_class) if wrong else 0,
        float((guess == labels).mean()),
        _suspects(probabilities, corrected, labels, indices, splits),
    )


def nearest(features: NDArray[np.float64], most: int = _NEIGHBORS) -> NDArray[np.int64]:
    """(N, F) -> (N, most) positions of the nearest other samples, the nearest first; fewer if there are not so many."""
    from sklearn.neighbors import NearestNeighbors  # a third of a second

    wanted = min(most, len(features) - 1)
    found: NDArray[np.int64] = NearestNeighbors(n_neighbors=wanted).fit(features).kneighbors(return_distance=False)
    return found


def _lead(scores: NDArray[np.float64], guess: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) the score of the guess less that of the best other class."""
    others = scores.copy()
    rows = np.arange(len(scores))
    others[rows, guess] = -np.inf
    return np.asarray(scores[rows, guess] - others.max(axis=1))


def _suspects(
    probabilities: NDArray[np.float64],
    corrected: NDArray[np.float64],
    labels: NDArray[np.int64],
    indices: NDArray[np.int64],
    splits: NDArray[np.str_],
) -> tuple[SuspectedLabel, ...]:
    margins = np.maximum(_lead(probabilities, labels), _lead(corrected, labels))
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    likelier = others.argmax(axis=1)
    order = margins.argsort(kind="stable")
    return tuple(
        SuspectedLabel(int(indices[n]), str(splits[n]), int(labels[n]), int(likelier[n]), float(-margins[n]))
        for n in order[margins[order] <= _WRONG].tolist()
    )
