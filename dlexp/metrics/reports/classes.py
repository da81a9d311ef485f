"""The report of classes: averages, each class, the confusion matrix, curves, calibration and the worst mistakes.

The definitions are in classes.py, ranking.py and calibration.py, as functions of how often each sample counts: once for
the metric itself, and many resamples in one go for its interval. A test holds each of them to scikit-learn's.

Symbols: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dlexp.metrics import calibration
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.class_samples import ClassSamples
from dlexp.metrics.confusion import Numbers
from dlexp.metrics.intervals.classes import class_intervals, each_class
from dlexp.metrics.reports.figures import (
    Cell,
    ConfusionMatrix,
    Figure,
    RankingCurves,
    ReliabilityDiagram,
    SampleImages,
    matrix_of,
)
from dlexp.metrics.reports.prediction_rows import MOST_CLASSES, TOP, ClassRows
from dlexp.metrics.reports.report import Report, Table

_MOST_CURVES = 10  # in one figure
MOST_MISTAKES = 100  # rows of mistakes.csv
_MOST_IMAGES = 25
_WITH_INTERVAL = ("precision", "recall", "f1")
PER_CLASS = (
    *("class", "precision", "recall", "f1", "support", "predicted", "specificity", "roc_auc", "average_precision"),
    *(f"{name}_{end}" for name in _WITH_INTERVAL for end in ("low", "high")),
)
_WORST = "The worst mistakes on the {split} split, worst first."
_IMAGES = "The worst mistakes on the {split} split: wrong predictions, the largest loss first."
_CONFUSION = "Confusion matrix of the {split} split: rows are the true classes, columns the predicted ones."


def class_report(
    names: Sequence[str],
    indices: Numbers,
    samples: ClassSamples,
    meaning: str = "p",
    resampling: Resampling | None = None,
) -> Report:
    """The report of (N, C) numbers of which the largest is the predicted class.

    Args:
        names: C class names.
        indices: (N,) the number of each sample in its source.
        samples: the N samples.
        meaning: meaning of the numbers, in the headers of their columns: p for probabilities. Anything else, such as
            score or vote, has no log loss, no calibration and no confidence.
        resampling: how intervals are made; None makes none.
    """
    made = _ClassReport(names, indices, samples, meaning, resampling)
    metrics, undefined = split_undefined(samples.values(), lambda name: samples.why(name, names))
    sure = class_intervals(samples, resampling) if resampling and resampling.resamples else {}
    facts: dict[str, Any] = {"reliability": [asdict(each) for each in made.bins]} if made.bins else {}
    if len(names) == 2:
        facts["positive_class"] = names[1]
    return Report(
        metrics,
        undefined,
        {name: each for name, each in sure.items() if metrics.get(name) is not None},
        dict(made.tables()),
        dict(made.figures(metrics.get("calibration_error"))),
        facts,
        _notes(len(names)) if len(names) > MOST_CLASSES else (),
    )


def split_undefined(
    values: Mapping[str, float], why: Callable[[str], str]
) -> tuple[dict[str, float | None], dict[str, str]]:
    """(metric -> value or None, metric -> why None) of the metrics that are not of one class or one output."""
    own = {name: value for name, value in values.items() if "/" not in name}
    undefined = {name: why(name) for name, value in own.items() if not np.isfinite(value)}
    return {name: None if name in undefined else value for name, value in own.items()}, undefined


@dataclass(frozen=True)
class _ClassReport:
    names: Sequence[str]
    indices: Numbers
    samples: ClassSamples
    meaning: str
    resampling: Resampling | None

    @cached_property
    def bins(self) -> list[calibration.Bin]:
        """The bins of confidence, in order; none where there are no probabilities."""
        found = self.samples
        if not (found.outputs.is_probabilistic and found.is_finite):
            return []
        return calibration.bins(found.results.confidence, found.predicted == found.targets)

    @cached_property
    def cells(self) -> list[Cell]:
        """(true, predicted, samples) of each cell of the confusion matrix that is not 0."""
        columns = (column.tolist() for column in self.samples.cells)
        return list(zip(*columns, strict=True))

    @cached_property
    def worst(self) -> Numbers:
        """The positions of the samples that were got wrong, of the highest loss first."""
        losses = np.nan_to_num(self.samples.losses(), nan=np.inf)
        wrong = np.flatnonzero(self.samples.targets != self.samples.predicted)
        order: Numbers = wrong[np.argsort(-losses[wrong], kind="stable")][:MOST_MISTAKES].copy()
        return order

    @cached_property
    def per_class(self) -> list[list[Any]]:
        """A row of `PER_CLASS` for each class; as in the averages, precision, recall and F1 of 0/0 are 0."""
        found, made = self.samples, self.resampling is not None and self.resampling.resamples
        sure = each_class(found, self.resampling.level) if self.resampling is not None and made else {}
        blank = [np.full(len(self.names), np.nan)] * (2 * len(_WITH_INTERVAL))
        columns = [
            *(np.nan_to_num(found.each[kind]) for kind in _WITH_INTERVAL),
            *(np.bincount(numbers, minlength=len(self.names)) for numbers in (found.targets, found.predicted)),
            *(found.each[kind] for kind in ("specificity", "roc_auc", "average_precision")),
            *([bound for kind in _WITH_INTERVAL for bound in sure[kind]] if made else blank),
        ]
        lines = zip(*(column.tolist() for column in columns), strict=True)
        return [
            [name, *(cell if np.isfinite(cell) else None for cell in line)]
            for name, line in zip(self.names, lines, strict=True)
        ]

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Name -> table. Of more than `MOST_CLASSES` classes the confusion matrix is the cells that are not 0."""
        names, labels = self.names, ("row", "true", "predicted")
        rows = ClassRows(self.indices, names, self.samples, self.meaning)
        yield "predictions", Table(rows.header, rows)
        number = f"{self.meaning}(true)", f"{self.meaning}(predicted)"
        yield "mistakes", Table((*labels, *number, "loss"), self._mistakes(), _WORST, labels)
        yield "per_class", Table(PER_CLASS, self.per_class, "Each class of the {split} split.", ("class",))
        if len(names) > MOST_CLASSES:
            cells = [(names[true], names[predicted], count) for true, predicted, count in self.cells]
            yield "confusion_cells", Table(("true", "predicted", "samples"), cells)
        else:
            counts = matrix_of(self.cells, len(names)).tolist()
            matrix = [[name, *row] for name, row in zip(names, counts, strict=True)]
            yield "confusion", Table(("true \\ predicted", *names), matrix)

    def figures(self, error: float | None) -> Iterator[tuple[str, Figure]]:
        """Name -> figure; `error` is the calibration error, None where it is undefined."""
        if len(self.names) <= MOST_CLASSES:
            yield "confusion", ConfusionMatrix(_CONFUSION, self.cells, self.names)
            caption = "Confusion matrix of the {split} split, as shares of each true class."
            yield "confusion_share", ConfusionMatrix(caption, self.cells, self.names, is_share=True)
        if len(self.worst):
            captions = [self._caption(n) for n in self.worst[:_MOST_IMAGES].tolist()]
            yield "mistakes", SampleImages(_IMAGES, self.worst[:_MOST_IMAGES].tolist(), captions)
        if self.bins and error is not None:
            caption = "Reliability on the {split} split: accuracy over confidence, the largest predicted probability."
            yield "reliability", ReliabilityDiagram(caption, self.bins, error)
        found = self.samples.curves(_MOST_CURVES)
        curves = {self.names[c]: curve for c, curve in found.items()}
        for name, area, caption in (
            ("roc", "roc_auc", "ROC curves on the {split} split: true positive rate over false positive rate."),
            ("pr", "average_precision", "Precision over recall on the {split} split."),
        ):
            if curves:
                areas = {self.names[c]: float(self.samples.each[area][c]) for c in found}
                yield name, RankingCurves(caption, curves, areas, len(self.names), is_roc=name == "roc")

    def _mistakes(self) -> list[list[Any]]:
        results, lines = self.samples.results, []
        for n in self.worst.tolist():
            true, predicted = self.names[self.samples.targets[n]], self.names[results.predicted[n]]
            numbers = (float(column[n]) for column in (results.own, results.confidence, results.losses))
            lines.append([int(self.indices[n]), true, predicted, *numbers])
        return lines

    def _caption(self, n: int) -> tuple[str, str, str]:
        """(true, predicted, how sure) of a sample; a probability is never 0, it is too small for a float."""
        results, meaning = self.samples.results, self.meaning
        own = float(results.own[n])
        shown = "< 1e-307" if meaning == "p" and own == 0 else f"{own:.2g}"
        true, predicted = self.names[self.samples.targets[n]], self.names[results.predicted[n]]
        return true, predicted, f"{meaning} {shown} → {float(results.confidence[n]):.2g}"


def _notes(classes: int) -> tuple[str, ...]:
    """The parts that are cut with very many classes."""
    return (
        f"predictions.csv has the {TOP} most likely of {classes:,} classes for each sample; "
        "dlexp predict --probabilities writes every class",
        f"confusion_cells.csv has the cells of the {classes:,} x {classes:,} confusion matrix that are not 0; "
        f"a picture of it is drawn up to {MOST_CLASSES:,} classes",
    )
