"""Reports of predictions that a test has at hand, by the states that an evaluation feeds batch by batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.class_samples import ClassSampleState
from dlexp.metrics.ranking import RankingCurve
from dlexp.metrics.regression import ValueSampleState
from dlexp.metrics.reports.classes import class_report as report_of_samples
from dlexp.metrics.reports.figures import ConfusionMatrix, RankingCurves
from dlexp.metrics.reports.report import Report
from dlexp.metrics.reports.values import value_report
from dlexp.metrics.states import MetricState
from dlexp.specs import ClassSpec, DataSpec, ValueSpec
from dlexp.types import Prediction


class Kept(MetricState):
    """Another state that keeps the predictions themselves."""

    def __init__(self, state: MetricState) -> None:
        self.state = state
        self.predictions: list[Prediction] = []

    def update(self, prediction: Prediction) -> None:
        self.state.update(prediction)
        self.predictions.append(prediction)

    def merge(self, other: Kept) -> None:
        self.state.merge(other.state)
        self.predictions += other.predictions

    def compute(self) -> dict[str, float]:
        return self.state.compute()


def report(spec: DataSpec, predictions: Iterable[Prediction], resampling: Resampling | None = None) -> Report:
    """The report of probabilities of classes, or of values."""
    if isinstance(spec.targets, ClassSpec):
        return class_report(spec, predictions, resampling=resampling)
    assert isinstance(spec.targets, ValueSpec)
    state = ValueSampleState()
    for prediction in predictions:
        state.update(prediction)
    values = state.samples(), state.extra()
    return value_report(spec.output_names, state.indices(), *values, spec.targets.std, resampling)


def class_report(
    spec: DataSpec, predictions: Iterable[Prediction], meaning: str = "p", resampling: Resampling | None = None
) -> Report:
    """The report of probabilities, or of scores of another meaning."""
    state = ClassSampleState(spec.num_outputs, is_probabilistic=meaning == "p", keeps_outputs=True)
    for prediction in predictions:
        state.update(prediction)
    return report_of_samples(spec.output_names, state.indices(), state.samples(), meaning, resampling)


def rows_of(found: Report, table: str) -> list[list[Any]]:
    """All rows of a table."""
    return [list(row) for row in found.tables[table].rows]


def lines_of(found: Report, table: str) -> list[list[Any]]:
    """The header of a table and all its rows."""
    return [list(found.tables[table].header), *rows_of(found, table)]


def column_of(found: Report, table: str, name: str) -> list[Any]:
    """A column of a table."""
    place = list(found.tables[table].header).index(name)
    return [row[place] for row in found.tables[table].rows]


def curves_of(found: Report) -> dict[str, RankingCurve]:
    """Class name -> curve, of those that are drawn."""
    figure = found.figures.get("roc")
    return dict(figure.curves) if isinstance(figure, RankingCurves) else {}


def cells_of(found: Report) -> list[tuple[int, int, int]]:
    """The cells of the confusion matrix that are not 0."""
    figure = found.figures["confusion"]
    assert isinstance(figure, ConfusionMatrix)
    return list(figure.cells)
