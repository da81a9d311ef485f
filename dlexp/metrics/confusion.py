"""Metrics of predicted classes, each over any number of resamples at once.

Every one of them follows from three rows of numbers: how many samples of each class there are, how many are predicted
as it, and how many both. So a resample costs a few sums, and the value itself is the same function on counts of one.

Symbols: N samples, C classes, R resamples; h hits, t true and p predicted samples of a class, n = sum of t.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats

Numbers = NDArray[np.int64]

AVERAGES = ("micro", "macro", "weighted")


@dataclass(frozen=True)
class Tally:
    """Samples of each class, (R, C) each: h, t and p."""

    hits: Floats
    true: Floats
    predicted: Floats


def tally(targets: Numbers, predicted: Numbers, num_classes: int) -> Callable[[Floats], Tally]:
    """A function from counts (R, N) to the tally of the N samples, for targets (N,) and predicted (N,).

    The samples are sorted by (true, predicted) once; a block of resamples is then added up pair by pair.
    """
    pairs = targets * num_classes + predicted
    order = np.argsort(pairs, kind="stable")
    found, starts = np.unique(pairs[order], return_index=True)
    true, predicted_as = found // num_classes, found % num_classes
    right, by_prediction = np.flatnonzero(true == predicted_as), np.argsort(predicted_as, kind="stable")
    true_classes, first_true = np.unique(true, return_index=True)
    predicted_classes, first_predicted = np.unique(predicted_as[by_prediction], return_index=True)

    def placed(columns: Floats, classes: Numbers) -> Floats:
        whole = np.zeros((len(columns), num_classes))
        whole[:, classes] = columns
        return whole

    def of(counts: Floats) -> Tally:
        sums = np.add.reduceat(counts.take(order, axis=1), starts, axis=1)
        return Tally(
            placed(sums[:, right], true[right]),
            placed(np.add.reduceat(sums, first_true, axis=1), true_classes),
            placed(np.add.reduceat(sums[:, by_prediction], first_predicted, axis=1), predicted_classes),
        )

    return of


def per_class(found: Tally) -> dict[str, Floats]:
    """Precision h/p, recall h/t, F1 2h/(t+p) and specificity of each class, (R, C); NaN for 0/0."""
    hits, true, predicted = found.hits, found.true, found.predicted
    others = true.sum(axis=1, keepdims=True) - true
    return {
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, true),
        "f1": _ratio(2 * hits, true + predicted),
        "specificity": _ratio(others - (predicted - hits), others),
    }


def of_classes(found: Tally) -> dict[str, Floats]:
    """Every metric of predicted classes, (R,) each; NaN where a resample has none.

    As in scikit-learn with zero_division=0, a class without a prediction has precision 0 in an average, and one that is
    neither true nor predicted is in no average. The correlation (Gorodkin 2004) of a constant is 0.
    """
    hits, true, predicted = found.hits, found.true, found.predicted
    samples, right = true.sum(axis=1), hits.sum(axis=1)
    agreed = (true * predicted).sum(axis=1)
    spread = np.sqrt((samples**2 - (true**2).sum(axis=1)) * (samples**2 - (predicted**2).sum(axis=1)))
    each = per_class(found)
    correlation = _ratio(right * samples - agreed, spread)
    return {
        "accuracy": right / samples,
        "balanced_accuracy": _mean(each["recall"], true > 0),
        **dict(_averages(each, true, predicted, right / samples)),
        "cohen_kappa": _ratio(right * samples - agreed, samples**2 - agreed),
        "matthews_correlation": np.where(spread == 0, 0.0, correlation),
    }


def _averages(
    each: dict[str, Floats], true: Floats, predicted: Floats, accuracy: Floats
) -> Iterator[tuple[str, Floats]]:
    """Of one class a sample, hits over all predictions and hits over all samples are the same: the accuracy."""
    samples, others = true.sum(axis=1, keepdims=True), true.shape[1] - 1
    occurs = true + predicted > 0
    for kind, values in each.items():
        # Not being of a class has no 0/0 by lack of a prediction; where every sample is of one class it is undefined.
        cells = values if kind == "specificity" else np.nan_to_num(values)
        micro = 1 - (1 - accuracy) / max(1, others) if kind == "specificity" else accuracy
        yield f"{kind}_micro", micro
        yield f"{kind}_macro", _mean(cells, occurs)
        yield f"{kind}_weighted", np.where(true > 0, cells * true, 0).sum(axis=1) / samples[:, 0]


def _mean(values: Floats, where: NDArray[np.bool_]) -> Floats:
    """Over the classes (R, C) that `where` names; NaN where there is none, or one of them is undefined."""
    return _ratio(np.where(where, values, 0.0).sum(axis=1), where.sum(axis=1).astype(np.float64))


def _ratio(over: Floats, under: Floats) -> Floats:
    return np.asarray(np.divide(over, under, out=np.full(over.shape, np.nan), where=under != 0))
