"""How far a held-out split is from the training split.

Symbols: N samples of both, F features, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.diagnosis.data.held_out import folds, predicted_values
from dlexp.runtime.seed import numbers

_DRAWS = 8  # random divisions for comparison
_FOLDS = 5
_MOST_COLUMNS = 5


@dataclass(frozen=True)
class SplitDistance:
    """A model tells training samples from those of a held-out split.

    Attributes:
        split: The held-out split.
        samples: Its samples.
        area: Area under the ROC curve, of samples that the model has not seen; 0.5 if the splits are alike.
        low: Lower limit of its 95 % interval (Hanley & McNeil 1982).
        random_area: The largest of random divisions of the same samples into parts of the same sizes.
        columns: The features that differ most, as (name, standardized difference of the means).
        class_distance: Half the sum of differences of the shares of classes, in [0, 1]; 0 without classes.
        random_class_distance: The largest of random divisions.
    """

    split: str
    samples: int
    area: float
    low: float
    random_area: float
    columns: tuple[tuple[str, float], ...]
    class_distance: float = 0.0
    random_class_distance: float = 0.0


def split_distance(
    split: str,
    features: tuple[NDArray[np.float64], NDArray[np.float64]],
    named: tuple[NDArray[np.float32], NDArray[np.float32], tuple[str, ...]],
    labels: tuple[NDArray[np.int64], NDArray[np.int64]] | None,
    seed: int,
) -> SplitDistance:
    """The distance of two samples.

    Args:
        split: Name of the second one.
        features: (N, F) of each, ready for a model.
        named: (N, F) of each in their own units, and F names.
        labels: Class numbers of each, None without classes.
        seed: Seed of folds and of random divisions.
    """
    both = np.concatenate(features)
    is_second = np.repeat([0, 1], [len(part) for part in features])
    area = _area_of(both, is_second, seed)
    rng = numbers(seed, "diagnosis", "divisions", len(both))
    drawn = [rng.permutation(is_second) for _ in range(_DRAWS)]
    areas = [_area_of(both, some, seed) for some in drawn]
    distance = random_distance = 0.0
    if labels is not None:
        all_labels = np.concatenate(labels)
        distance = _class_distance(all_labels, is_second)
        more = [rng.permutation(is_second) for _ in range(100)]
        random_distance = max(_class_distance(all_labels, some) for some in more)
    first, second = int((is_second == 0).sum()), int((is_second == 1).sum())
    low = area - 1.96 * _error(area, second, first)
    return SplitDistance(split, second, area, low, max(areas), _differing(*named), distance, random_distance)


def _area_of(features: NDArray[np.float64], is_second: NDArray[np.int64], seed: int) -> float:
    fold = folds(is_second, len(is_second), _FOLDS, seed)
    scores = predicted_values(features, is_second[:, None].astype(np.float64), fold, seed, is_quick=True).scores[:, 0]
    for number in range(_FOLDS):  # each fold has a model of its own, whose level is not that of the others
        scores[fold == number] = scores[fold == number] - scores[(fold == number) & (is_second == 0)].mean()
    _, rank, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[rank]
    ones, zeros = int(is_second.sum()), int((1 - is_second).sum())
    return float((ranks[is_second == 1].sum() - ones * (ones + 1) / 2) / max(ones * zeros, 1))


def _error(area: float, positives: int, negatives: int) -> float:
    """Standard error of an area under the ROC curve."""
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (one - area**2) + (negatives - 1) * (two - area**2)
    return float(np.sqrt(max(variance, 0.0) / max(positives * negatives, 1)))


def _differing(
    first: NDArray[np.float32], second: NDArray[np.float32], names: tuple[str, ...]
) -> tuple[tuple[str, float], ...]:
    """The features whose means differ most, in standard deviations within the splits."""
    one, other = first.astype(np.float64), second.astype(np.float64)
    spread = np.sqrt((one.var(axis=0) + other.var(axis=0)) / 2)
    far = np.divide(other.mean(axis=0) - one.mean(axis=0), spread, out=np.zeros_like(spread), where=spread > 1e-9)
    found: dict[str, float] = {}
    for number in np.abs(far).argsort(kind="stable")[::-1].tolist():
        found.setdefault(names[number], float(far[number]))
    return tuple(list(found.items())[:_MOST_COLUMNS])


def _class_distance(labels: NDArray[np.int64], is_second: NDArray[np.int64]) -> float:
    counts = [np.bincount(labels[is_second == part], minlength=labels.max() + 1) for part in (0, 1)]
    shares = [count / max(count.sum(), 1) for count in counts]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)
