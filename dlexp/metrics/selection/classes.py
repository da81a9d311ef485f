"""Metrics of classes that a run names: those of the report, of one class, and with parameters.

Symbols: N samples, C classes, R resamples, K cells of a confusion matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dlexp.metrics.bootstrap import Floats, Interval, Resampling, Statistic
from dlexp.metrics.class_samples import RANKING, ClassSamples
from dlexp.metrics.confusion import Numbers, Tally, tally
from dlexp.metrics.intervals.classes import AREA, EXACT, SCORE, each_class, of_cells
from dlexp.metrics.intervals.shares import area, exact, score
from dlexp.metrics.ranking import areas
from dlexp.metrics.selection.base import NO_INTERVAL, Known, SelectedMetric, SplitSamples
from dlexp.metrics.selection.catalog import top_k
from dlexp.metrics.selection.request import MetricRequest
from dlexp.metrics.undefined import undefined_of_classes

_AREAS = ("roc_auc", "average_precision")


def class_metric(request: MetricRequest, names: Sequence[str]) -> SelectedMetric:
    """The metric of a request, for data with the class `names`, one of which may be `request.output`."""
    number = names.index(request.output) if request.output else None
    if request.base == "cost":
        return MeanCost(request, np.asarray(request.arguments["matrix"], np.float64), names)
    if request.base == "fbeta":
        return Fbeta(request, number, names)
    if number is not None:
        return OfClass(request, number, names)
    return TopAccuracy(request) if top_k(request.base) not in (0, 3, 5) else OfReport(request, names)


def _classes(samples: SplitSamples) -> ClassSamples:
    assert samples.classes is not None
    return samples.classes


def _share(bounds: tuple[Floats, Floats], method: str = EXACT) -> Interval:
    low, high = (float(np.ravel(bound)[0]) for bound in bounds)
    return Interval(low, high, method=method) if np.isfinite(low) else NO_INTERVAL


class OfReport(SelectedMetric):
    """A metric that every report of classes has."""

    def __init__(self, request: MetricRequest, names: Sequence[str]) -> None:
        super().__init__(request)
        self._names, self.keeps_outputs = tuple(names), request.base in RANKING

    def value(self, samples: SplitSamples) -> float:
        """As in a report."""
        return _classes(samples).chosen([self.request.base])[self.request.base]

    def undefined(self, targets: Tensor) -> str:
        """As of a monitored metric."""
        return undefined_of_classes(self.request.base, targets, self._names)

    def why(self, samples: SplitSamples) -> str:
        """As in a report."""
        return _classes(samples).why(self.request.base, self._names)

    def interval(self, samples: SplitSamples, resampling: Resampling, known: Known) -> Interval:
        """As in a report."""
        return known.get(self.request.base, NO_INTERVAL)


class OfClass(SelectedMetric):
    """Precision, recall, F1, specificity or an area of one class; precision without a prediction of it is 0."""

    def __init__(self, request: MetricRequest, number: int, names: Sequence[str]) -> None:
        super().__init__(request)
        self._class, self._names, self.keeps_outputs = number, tuple(names), request.base in _AREAS

    def value(self, samples: SplitSamples) -> float:
        """NaN for the recall of a class without samples, the F1 of one that is never true or predicted, and 0/0."""
        found, kind = _classes(samples), self.request.base
        if kind in _AREAS:
            if not found.is_finite:
                return float("nan")
            scores = found.outputs.columns(self._class, self._class + 1)[:, 0]
            return areas(scores, np.flatnonzero(found.targets == self._class))[_AREAS.index(kind)]
        hits, true, predicted = self._counts(found)
        others = len(found) - true
        over, under = {
            "precision": (hits, predicted),
            "recall": (hits, true),
            "f1": (2 * hits, true + predicted),
            "specificity": (others - (predicted - hits), others),
        }[kind]
        return over / under if under else 0.0 if kind == "precision" else float("nan")

    def undefined(self, targets: Tensor) -> str:
        """Of a class without samples nothing but the specificity is defined."""
        return _undefined_of_class(self.request.base, targets, self._class, self._names)

    def why(self, samples: SplitSamples) -> str:
        """Of a class without samples, or with all of them."""
        found = _classes(samples)
        targets = torch.from_numpy(np.array(found.targets))
        return self.undefined(targets) or found.why(self.request.base, self._names)

    def interval(self, samples: SplitSamples, resampling: Resampling, known: Known) -> Interval:
        """Clopper and Pearson's of a share, Newcombe's of an area under the ROC curve, Wilson's of one of the other."""
        found, kind, level = _classes(samples), self.request.base, resampling.level
        hits, true, predicted = self._counts(found)
        if kind == "roc_auc":
            bounds = area(self.value(samples), np.array([true]), np.ones(1), len(found), level)
            return Interval(*bounds, method=AREA)
        if kind == "average_precision":
            return Interval(*score(self.value(samples), true, level), method=SCORE)
        if kind == "specificity":
            others = len(found) - true
            return _share(exact(others - (predicted - hits), others, level))
        low, high = each_class(found, level)[kind]
        return _share((low[[self._class]], high[[self._class]]))

    def _counts(self, found: ClassSamples) -> tuple[float, float, float]:
        """Hits, true and predicted samples of the class."""
        counts = found.tally
        hits, true, predicted = (column[0, self._class] for column in (counts.hits, counts.true, counts.predicted))
        return float(hits), float(true), float(predicted)


class TopAccuracy(SelectedMetric):
    """Share of samples whose true class is among the K largest outputs; of equal outputs the lower class is first."""

    def value(self, samples: SplitSamples) -> float:
        """In [0, 1]."""
        return float(self._hits(samples).mean())

    def interval(self, samples: SplitSamples, resampling: Resampling, known: Known) -> Interval:
        """Clopper and Pearson's."""
        hits = self._hits(samples)
        return _share(exact(hits.sum(), len(hits), resampling.level))

    def _hits(self, samples: SplitSamples) -> Floats:
        return (_classes(samples).results.rank < top_k(self.request.base)).astype(np.float64)


class Fbeta(SelectedMetric):
    """(1 + b^2) h / (b^2 t + p) of one class, or an average over the classes as in `f1_macro` and its kin."""

    def __init__(self, request: MetricRequest, number: int | None, names: Sequence[str]) -> None:
        super().__init__(request)
        self._class, self._names = number, tuple(names)
        self._beta, self._average = float(request.arguments["beta"]), str(request.arguments.get("average", "macro"))

    def value(self, samples: SplitSamples) -> float:
        """NaN where its class is never true or predicted."""
        return float(self._of(_classes(samples).tally)[0])

    def undefined(self, targets: Tensor) -> str:
        """Of a class without samples it is 0, whatever is predicted."""
        return "" if self._class is None else _undefined_of_class("f1", targets, self._class, self._names)

    def interval(self, samples: SplitSamples, resampling: Resampling, known: Known) -> Interval:
        """By weights of the cells of the confusion matrix."""
        found = _classes(samples)

        def metrics(true: Numbers, predicted: Numbers) -> Statistic:
            tallied = tally(true, predicted, found.num_classes)
            return lambda weights: {"fbeta": self._of(tallied(weights))}

        return dict(of_cells(found, resampling, metrics)).get("fbeta", NO_INTERVAL)

    def _of(self, found: Tally) -> Floats:
        """(R, C) counts -> (R,)."""
        squared = self._beta**2
        hits, true, predicted = found.hits, found.true, found.predicted
        if self._average == "micro" and self._class is None:
            hits, true, predicted = (column.sum(axis=1, keepdims=True) for column in (hits, true, predicted))
        under = squared * true + predicted
        each = np.divide((1 + squared) * hits, under, out=np.full(hits.shape, np.nan), where=under > 0)
        if self._class is not None:
            return np.asarray(each[:, self._class])
        weights = true if self._average == "weighted" else (under > 0).astype(np.float64)
        return np.asarray((np.nan_to_num(each) * weights).sum(axis=1) / weights.sum(axis=1))


class MeanCost(SelectedMetric):
    """Mean over the samples of the cost of predicting a class instead of the true one: (C, C), true classes by row."""

    def __init__(self, request: MetricRequest, matrix: Floats, names: Sequence[str]) -> None:
        super().__init__(request)
        self._matrix = matrix

    def value(self, samples: SplitSamples) -> float:
        """In the unit of the costs."""
        found = _classes(samples)
        return float(self._matrix[found.targets, found.predicted].mean())

    def interval(self, samples: SplitSamples, resampling: Resampling, known: Known) -> Interval:
        """By weights of the cells of the confusion matrix."""

        def metrics(true: Numbers, predicted: Numbers) -> Statistic:
            each = self._matrix[true, predicted]
            return lambda weights: {"cost": (weights @ each) / weights.sum(axis=1)}

        return dict(of_cells(_classes(samples), resampling, metrics, self._matrix)).get("cost", NO_INTERVAL)


def _undefined_of_class(kind: str, targets: Tensor, number: int, names: Sequence[str]) -> str:
    """The reason why a metric of class `number` has no value on targets (N,); "" where it has one."""
    own, count = int((targets == number).sum()), len(targets)
    if own == 0 and kind != "specificity":
        return f"no sample is of the class {names[number]}"
    if own == count and kind in ("specificity", "roc_auc"):
        return f"every sample is of the class {names[number]}"
    return ""
