"""Intervals of the metrics of classes; benchmarks/results/interval_coverage.md has how often each method covers.

Symbols: N samples, C classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from dlexp.metrics.bootstrap import Floats, Interval, Resampling, Statistic, resampled
from dlexp.metrics.class_samples import RANKING, TOP, ClassSamples
from dlexp.metrics.confusion import Numbers, of_classes, tally
from dlexp.metrics.intervals.shares import Bounds, area, exact, exact_f1, mean_of_shares, score
from dlexp.metrics.intervals.studentized import bootstrap_t, distances, mean_and_error

Sure = Iterator[tuple[str, Interval]]

EXACT, WEIGHTED, BAYESIAN = "Clopper-Pearson", "weighted beta", "Dirichlet"
AREA, SCORE, STUDENTIZED, DISTANCE = "Newcombe", "Wilson", "bootstrap-t", "bootstrap of distances"
_CELLS = 1 << 18  # numbers of resamples at a time
_ONE_CLASS = "every sample is of one class, and so is every prediction"


def class_intervals(found: ClassSamples, resampling: Resampling) -> dict[str, Interval]:
    """Metric -> interval."""
    level = resampling.level
    sure = dict(_drawn(found, resampling)) | dict(_shares(found, level)) | dict(_means(found, level))
    if found.is_finite:
        sure |= dict(_ranking(found, level))
        if found.outputs.is_probabilistic:
            sure |= dict(_of_probabilities(found, resampling))
    return sure


def each_class(found: ClassSamples, level: float) -> dict[str, tuple[Floats, Floats]]:
    """Metric -> (low, high) of each class, (C,) each; NaN where there is no interval."""
    hits, true, predicted = _counts(found)
    return {
        "precision": exact(hits, predicted, level),
        "recall": exact(hits, true, level),
        "f1": exact_f1(hits, true + predicted - hits, level),
    }


def _counts(found: ClassSamples) -> tuple[Numbers, Numbers, Numbers]:
    """Hits, true and predicted samples of each class, (C,) each."""
    right = found.targets == found.predicted
    kinds = (found.targets[right], found.targets, found.predicted)
    hits, true, predicted = (np.bincount(kind, minlength=found.num_classes) for kind in kinds)
    return hits, true, predicted


def _shares(found: ClassSamples, level: float) -> Sure:
    """Shares of all samples."""
    counts = {f"top_{k}_accuracy": int((found.results.rank < k).sum()) for k in TOP if k < found.num_classes}
    right = int((found.targets == found.predicted).sum())
    counts |= dict.fromkeys(("accuracy", "recall_weighted", "precision_micro", "recall_micro", "f1_micro"), right)
    for name, hits in counts.items():
        low, high = (float(bound) for bound in exact(hits, len(found), level))
        yield name, Interval(low, high, method=EXACT)
        if name == "accuracy":  # of which the micro average of the specificity is a function
            others = max(1, found.num_classes - 1)
            yield "specificity_micro", Interval(1 - (1 - low) / others, 1 - (1 - high) / others, method=EXACT)


def _means(found: ClassSamples, level: float) -> Sure:
    """Means over classes of shares: each wrong sample takes something away from the class that it is of, or called."""
    _, true, predicted = _counts(found)
    wrong = found.targets != found.predicted
    is_true, is_called, occurs = true > 0, predicted > 0, true + predicted > 0
    classes = int(occurs.sum())
    of, called = true[found.targets[wrong]], predicted[found.predicted[wrong]]

    def interval(lost: float, errors: Floats, weights: Floats) -> Interval:
        low, high = mean_of_shares(lost + float(errors.sum()), errors, weights, level)
        return Interval(low, high, method=WEIGHTED)

    some = int(is_true.sum())
    yield "balanced_accuracy", interval(0.0, 1 / (some * of), 1 / (some * true[is_true]))
    yield "recall_macro", interval((classes - some) / classes, 1 / (classes * of), 1 / (classes * true[is_true]))
    never = (classes - int(is_called.sum())) / classes
    yield "precision_macro", interval(never, 1 / (classes * called), 1 / (classes * predicted[is_called]))
    share = true / len(found)  # of each class, which weighs it
    called_share, never = share[found.predicted[wrong]] / called, float(share[~is_called].sum())
    yield "precision_weighted", interval(never, called_share, share[is_called] / predicted[is_called])
    both = (true + predicted).astype(np.float64)
    errors = (1 / both[found.targets[wrong]] + 1 / both[found.predicted[wrong]]) / classes
    yield "f1_macro", interval(0.0, errors, 2 / (classes * both[occurs]))
    each = share[occurs] / both[occurs]
    errors = (share / np.maximum(both, 1))[found.targets[wrong]] + (share / np.maximum(both, 1))[found.predicted[wrong]]
    yield "f1_weighted", interval(0.0, errors, 2 * each)


def _drawn(found: ClassSamples, resampling: Resampling) -> Sure:
    """Metrics of the confusion matrix."""

    def metrics(true: Numbers, predicted: Numbers) -> Statistic:
        tallied = tally(true, predicted, found.num_classes)
        return lambda weights: of_classes(tallied(weights))

    yield from of_cells(found, resampling, metrics)


def of_cells(
    found: ClassSamples,
    resampling: Resampling,
    metrics: Callable[[Numbers, Numbers], Statistic],
    costs: Floats | None = None,
) -> Sure:
    """Metrics of the confusion matrix by weights of its cells that are drawn from a Dirichlet distribution.

    It is the Bayesian bootstrap (Rubin 1981) with one sample more, spread over the classes: for the worse bound a wrong
    one, for the better bound a right one. So the bounds of an accuracy are Clopper and Pearson's, and those of a metric
    of a matrix without a mistake go as far as one more sample could take it.

    Args:
        found: The samples.
        resampling: How many weights are drawn.
        metrics: (true, predicted) classes of K cells -> a function of weights (R, K): metric -> (R,).
        costs: (C, C) costs of a prediction, of which smaller metrics are better; None where larger ones are.
    """
    true, predicted, samples = found.cells
    occurring, of = np.union1d(true, predicted), np.unique(true)
    if costs is None and len(occurring) == 1:
        names = metrics(true, predicted)(samples[None].astype(np.float64))
        yield from ((name, Interval(None, None, 0, _ONE_CLASS)) for name in names)
        return
    right, wrong = of, occurring[(np.searchsorted(occurring, of) + 1) % len(occurring)]
    if costs is not None:
        right, wrong = costs[of].argmin(axis=1), costs[of].argmax(axis=1)
    cells = np.concatenate([true, of, of]), np.concatenate([predicted, right, wrong])
    statistic, rng = metrics(*cells), np.random.default_rng(resampling.seed)
    rows, parts = max(1, _CELLS // max(len(cells[0]), found.num_classes)), []
    for share in ((0.0, 1.0), (1.0, 0.0)):
        more = [np.full(len(of), each / len(of)) for each in share]
        shapes = np.concatenate([samples.astype(np.float64), *more])
        drawn = []
        for start in range(0, resampling.resamples, rows):
            weights = rng.standard_gamma(shapes, (min(rows, resampling.resamples - start), len(shapes)))
            drawn.append(statistic(weights * (len(found) / weights.sum(axis=1, keepdims=True))))
        parts.append({name: np.concatenate([part[name] for part in drawn]) for name in drawn[0]})
    tail, (worse, better) = (1 - resampling.level) / 2, parts
    least, most = (worse, better) if costs is None else (better, worse)
    for name, fewer in least.items():
        if np.isfinite(fewer).all():  # a class of all samples has no specificity
            low, high = float(np.quantile(fewer, tail)), float(np.quantile(most[name], 1 - tail))
            yield name, Interval(low, high, method=BAYESIAN)


def _ranking(found: ClassSamples, level: float) -> Sure:
    """Areas under the curves, where they are defined."""
    values, total = found.values(), len(found)
    positives = np.bincount(found.targets, minlength=found.num_classes).astype(np.float64)
    own = positives[1:] if found.num_classes == 2 else positives
    kept = positives[positives > 0]
    weights = {"": (own, np.full(len(own), 1 / len(own))), "_weighted": (kept, kept / total)}
    for name in (name for name in RANKING if np.isfinite(values[name])):
        counts, shares = weights["_weighted" if name.endswith("_weighted") else ""]
        if name.startswith("average_precision"):
            # The positives of each class are others; of two classes they are each other's negatives too.
            spread = (shares / counts**0.5).sum() ** 2 if found.num_classes == 2 else (shares**2 / counts).sum()
            trials = 1 / float(spread)
            yield name, _interval(score(values[name], trials, level), SCORE)
        else:  # of two classes both areas are the same one
            counts, shares = (own, np.ones(1)) if found.num_classes == 2 else (counts, shares)
            yield name, _interval(area(values[name], counts, shares, total, level), AREA)


def _of_probabilities(found: ClassSamples, resampling: Resampling) -> Sure:
    """Means over samples, and the calibration error, which is above its true value by chance."""
    columns = found.sample_columns
    most = {"log_loss": np.inf, "brier": 1.0 if found.num_classes == 2 else 2.0}
    if not all(np.isfinite(columns[name]).all() for name in most):
        return
    gaps, level = found.gaps, resampling.level
    of_bins = gaps.means

    def statistic(counts: Floats) -> dict[str, Floats]:
        drawn = {}
        for name in most:
            drawn[name], drawn[f"{name}/error"] = mean_and_error(counts, columns[name])
        means = gaps.sums(counts) / counts.sum(axis=1, keepdims=True)
        drawn["gap"], drawn["moved"] = distances(means, of_bins)
        return drawn

    drawn = resampled(statistic, len(found), resamples=resampling.resamples, seed=resampling.seed)
    for name, largest in most.items():
        yield name, studentized(columns[name], drawn[name], drawn[f"{name}/error"], level, (0.0, largest))
    value = float(np.abs(of_bins).sum())
    low = max(0.0, value - float(np.quantile(drawn["moved"], level)))
    yield "calibration_error", Interval(low, float(np.quantile(drawn["gap"], (1 + level) / 2)), method=DISTANCE)


def studentized(column: Floats, means: Floats, errors: Floats, level: float, allowed: Bounds) -> Interval:
    """The interval of the mean of a column (N,), cut to what is allowed; by percentiles where an error is 0."""
    bounds = bootstrap_t((float(column.mean()), float(column.std())), (means, errors), level)
    method = STUDENTIZED
    if bounds is None:
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
        bounds, method = (float(low), float(high)), "percentile"
    low, high = np.clip(bounds, *allowed)
    return Interval(float(low), float(high), method=method)


def _interval(bounds: Bounds, method: str) -> Interval:
    return Interval(*bounds, method=method)
