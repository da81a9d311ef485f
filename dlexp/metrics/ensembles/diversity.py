"""How much the members of an ensemble differ: where all make the same mistakes, their mean makes them too.

Source: Kuncheva and Whitaker, Measures of Diversity in Classifier Ensembles, 2003; for values Krogh and Vedelsby 1995.

Symbols: K members, N samples, O values of a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.confusion import Numbers


def class_diversity(predicted: Numbers, targets: Numbers) -> dict[str, float | None]:
    """Means over the pairs of members, of predicted classes (K, N) and true ones (N,); None where no pair has a value.

    disagreement  share of the samples for which two members predict different classes
    kappa         Cohen's kappa of their predictions: 1 where they are the same, 0 where as often as by chance
    q_statistic   Yule's Q of who is right: 1 where the same samples are right, 0 where independent, -1 where others are
    both_wrong    share of the samples that both get wrong
    """
    return _means(pairwise(predicted, targets))


def pairwise(predicted: Numbers, targets: Numbers) -> dict[tuple[int, int], dict[str, float | None]]:
    """The measures of `class_diversity` of each pair of members."""
    right = predicted == targets
    return {
        (one, other): _of_pair(predicted[one], predicted[other], right[one], right[other])
        for one, other in combinations(range(len(predicted)), 2)
    }


def value_diversity(values: Floats, true: Floats, weights: Floats, scale: Floats) -> dict[str, float | None]:
    """Of predicted values (K, N, O) and true ones (N, O), each target in deviations of it, `scale` (O,).

    ambiguity          weighted mean of the squared distance of each member from the mean of all: by so much is the
                       squared error of the mean smaller than the weighted mean of the members' squared errors, exactly
    member_mse         that mean of the members' squared errors
    error_correlation  mean over the pairs of members of the correlation of their errors
    """
    scaled, errors = values / scale, (values - true) / scale
    mean = np.tensordot(weights, scaled, axes=1)
    apart = ((scaled - mean) ** 2).mean(axis=(1, 2))
    flat = errors.reshape(len(errors), -1)
    found: dict[str, float | None] = {
        "ambiguity": float(weights @ apart),
        "member_mse": float(weights @ (errors**2).mean(axis=(1, 2))),
    }
    return found | _means({pair: {"error_correlation": value} for pair, value in _correlations(flat)})


def _of_pair(first: Numbers, second: Numbers, is_right: Numbers, is_other_right: Numbers) -> dict[str, float | None]:
    agreed = float((first == second).mean())
    numbers = max(int(first.max()), int(second.max())) + 1
    shares = [np.bincount(each, minlength=numbers) / len(each) for each in (first, second)]
    by_chance = float(shares[0] @ shares[1])
    both = float((is_right & is_other_right).sum()) * float((~is_right & ~is_other_right).sum())
    one = float((is_right & ~is_other_right).sum()) * float((~is_right & is_other_right).sum())
    return {
        "disagreement": 1 - agreed,
        "kappa": (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else None,
        "q_statistic": (both - one) / (both + one) if both + one else None,
        "both_wrong": float((~is_right & ~is_other_right).mean()),
    }


def _correlations(errors: Floats) -> Iterator[tuple[tuple[int, int], float | None]]:
    spreads = errors.std(axis=1)
    for one, other in combinations(range(len(errors)), 2):
        known = spreads[one] > 0 and spreads[other] > 0
        yield (one, other), float(np.corrcoef(errors[one], errors[other])[0, 1]) if known else None


def _means(pairs: Mapping[tuple[int, int], Mapping[str, float | None]]) -> dict[str, float | None]:
    names = next(iter(pairs.values()), {})
    found: dict[str, float | None] = {}
    for name in names:
        known = [value for each in pairs.values() if (value := each[name]) is not None]
        found[name] = float(np.mean(known)) if known else None
    return found
