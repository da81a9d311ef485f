"""A metric of counts is the metric of samples that are there so often, and its interval is made of those."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from report_of import class_report, column_of, curves_of, report, rows_of

from dlexp.metrics.bootstrap import Resampling, blocks
from dlexp.metrics.class_samples import RANKING, ClassSamples
from dlexp.metrics.confusion import of_classes, tally
from dlexp.metrics.outputs import ClassOutputs
from dlexp.metrics.ranking import curve, thinned
from dlexp.metrics.regression import EXTREME, ValueSamples
from dlexp.metrics.reports.classes import PER_CLASS
from dlexp.metrics.reports.figures import ReliabilityDiagram
from dlexp.specs import ClassSpec, DataSpec, TableSpec, ValueSpec
from dlexp.types import Prediction

Array = np.ndarray[Any, Any]


def classes(count: int, num_classes: int, ties: bool = False, seed: int = 0) -> ClassSamples:
    rng = np.random.default_rng(seed)
    targets = rng.integers(num_classes, size=count)
    outputs = rng.dirichlet(np.ones(num_classes), size=count) + 0.5 * (np.arange(num_classes) == targets[:, None])
    outputs /= outputs.sum(axis=1, keepdims=True)
    return samples_of(np.round(outputs, 1) if ties else outputs, targets)


def samples_of(outputs: Array, targets: Array, probabilistic: bool = True) -> ClassSamples:
    parts = [outputs[:1], outputs[1:]] if len(outputs) > 1 else [outputs]
    return ClassSamples(ClassOutputs(parts, "probabilities" if probabilistic else "scores"), targets)


def outputs_of(samples: ClassSamples) -> Array:
    return np.concatenate(list(samples.outputs.blocks()))


@pytest.mark.parametrize("num_classes", [2, 3, 7])
def test_weights_of_samples_are_samples_repeated(num_classes: int) -> None:
    found = classes(25, num_classes)
    counts = next(blocks(25, 12, seed=5))
    whole = of_classes(tally(found.targets, found.predicted, num_classes)(counts))
    for number, row in enumerate(counts):
        taken = np.repeat(np.arange(25), row.astype(int))
        alone = samples_of(outputs_of(found)[taken], found.targets[taken]).values()
        for name, column in whole.items():
            assert column[number] == pytest.approx(alone[name], abs=1e-12, nan_ok=True), name


def test_a_resample_of_values_is_its_samples_repeated() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(24, 2)) + 3
    predicted = np.round(true + rng.normal(size=(24, 2)), 1)
    counts = next(blocks(24, 12, seed=5))
    whole = ValueSamples(predicted, true).statistic()(counts)
    for number, row in enumerate(counts):
        taken = np.repeat(np.arange(24), row.astype(int))
        alone = ValueSamples(predicted[taken], true[taken]).statistic()(np.ones((1, 24)))
        for name, value in alone.items():
            assert whole[name][number] == pytest.approx(value[0], abs=1e-9), name


def predictions(samples: ClassSamples) -> list[Prediction]:
    rows = torch.arange(len(samples))
    return [
        Prediction(torch.from_numpy(outputs_of(samples)), torch.from_numpy(samples.targets), torch.tensor(0.0), rows)
    ]


def spec(num_classes: int) -> DataSpec:
    return DataSpec(TableSpec(2), ClassSpec(tuple(f"c{n}" for n in range(num_classes))))


def test_every_defined_metric_lies_in_its_interval_and_seeds_repeat() -> None:
    samples = classes(150, 4, seed=1)
    found = report(spec(4), predictions(samples), Resampling(300, 0.99, seed=7))
    assert set(found.intervals) == {name for name, value in found.metrics.items() if value is not None}
    for name, each in found.intervals.items():
        value = found.metrics[name]
        assert value is not None
        assert each.low is not None
        assert each.high is not None
        if name != "calibration_error":  # it is above 0 by chance alone, and a resample has chance twice
            assert each.low <= value <= each.high, name
            assert each.low < each.high or value == 1, name
    assert report(spec(4), predictions(samples), Resampling(300, 0.99, seed=7)).intervals == found.intervals
    assert report(spec(4), predictions(samples), Resampling(300, 0.99, seed=8)).intervals != found.intervals
    assert report(spec(4), predictions(samples), Resampling(0)).intervals == {}
    cells = [dict(zip(PER_CLASS, row, strict=True)) for row in rows_of(found, "per_class")]
    assert all(row["recall_low"] <= row["recall"] <= row["recall_high"] for row in cells)


def test_a_class_with_two_samples_still_has_an_area_with_an_interval() -> None:
    samples = classes(60, 3)
    targets = np.where(samples.targets == 2, 0, samples.targets)
    targets[:2] = 2  # of 60: left out of 13 % of the resamples
    rare = samples_of(outputs_of(samples), targets)
    found = report(spec(3), predictions(rare), Resampling(100))
    for name in RANKING:
        value, interval = found.metrics[name], found.intervals[name]
        assert value is not None and interval.low is not None and interval.high is not None
        assert interval.low < value < interval.high
    assert found.intervals["roc_auc"].method == "Newcombe"


def test_an_extreme_has_no_interval_and_each_target_has_its_own() -> None:
    rng = np.random.default_rng(0)
    true = torch.from_numpy(rng.normal(size=(40, 2)))
    guess = true + torch.from_numpy(rng.normal(size=(40, 2)))
    about = DataSpec(TableSpec(2), ValueSpec(("a", "b/c"), (0.0, 0.0), (1.0, 2.0)))
    found = report(about, [Prediction(guess, true, torch.tensor(0.0), torch.arange(40))], Resampling(200))
    assert found.intervals[EXTREME].low is None
    assert "no larger error" in found.intervals[EXTREME].reason
    assert found.intervals["b/c/rmse"].low is not None
    assert found.facts["per_output"]["b/c"]["rmse"] == pytest.approx(float((guess - true)[:, 1].square().mean().sqrt()))
    scaled = (guess - true) / torch.tensor([1.0, 2.0])
    losses = scaled.square().mean(1).sqrt()
    worst = losses.argsort(descending=True, stable=True)
    assert [row[0] for row in rows_of(found, "mistakes")] == worst.tolist()
    assert column_of(found, "mistakes", "loss") == pytest.approx(losses[worst].tolist())


def test_curves_hold_the_areas_of_their_class() -> None:
    samples = classes(80, 12, seed=3)
    found = report(spec(12), predictions(samples))
    areas = [dict(zip(PER_CLASS, row, strict=True)) for row in rows_of(found, "per_class")]
    curves = {int(name[1:]): curve for name, curve in curves_of(found).items()}
    assert len(curves) == 10
    left_out = set(range(12)) - set(curves)
    assert min(areas[c]["roc_auc"] for c in left_out) >= max(areas[c]["roc_auc"] for c in curves)
    for c, one in curves.items():
        assert np.trapezoid(one.recall, one.false_positive_rate) == pytest.approx(areas[c]["roc_auc"])
        steps = (np.diff(one.recall) * one.precision[1:]).sum()
        assert steps == pytest.approx(areas[c]["average_precision"])
        assert (one.recall[-1], one.false_positive_rate[-1]) == (1, 1)


def test_a_curve_of_very_many_points_is_thinned_and_keeps_its_shape() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(60_000) < 0.3
    full = curve(rng.normal(size=60_000) + positive, positive)
    thin = thinned(full)
    assert len(full.recall) > 50_000 and len(thin.recall) <= 16_000
    for got, expected in zip(vars(thin).values(), vars(full).values(), strict=True):
        assert (got[0], got[-1], got.min(), got.max()) == (expected[0], expected[-1], expected.min(), expected.max())
    way, thin_way = (each.recall + each.false_positive_rate for each in (full, thin))  # it grows at every point
    assert np.abs(np.interp(way, thin_way, thin.recall) - full.recall).max() <= 1e-3
    area = np.trapezoid(full.recall, full.false_positive_rate)
    assert np.trapezoid(thin.recall, thin.false_positive_rate) == pytest.approx(area, abs=1e-5)
    few = curve(np.arange(5.0), np.arange(5) > 2)
    assert thinned(few) is few


def test_the_loss_of_a_sample_names_the_worst() -> None:
    scores = np.array([[3.0, 1.0, 0.0], [0.0, 1.0, 4.0], [2.0, 2.0, 0.0]])
    targets = np.array([0, 0, 1])
    assert samples_of(scores, targets, False).losses().tolist() == [-2.0, 4.0, 0.0]
    shares = np.array([[0.7, 0.3], [0.2, 0.8]])
    losses = samples_of(shares, np.array([0, 0])).losses()
    assert losses == pytest.approx([-math.log(0.7), -math.log(0.2)])


def test_scores_have_no_probabilities_to_judge() -> None:
    found = class_report(spec(3), predictions(classes(30, 3)), "score")
    assert not {"log_loss", "brier", "calibration_error"} & set(found.metrics)
    assert "reliability" not in {**found.facts, **found.figures}
    assert found.metrics["roc_auc"] is not None


def test_bins_of_a_reliability_diagram_hold_every_sample_once() -> None:
    outputs = np.array([[1.0, 0.0], [0.5, 0.5], [0.6, 0.4], [0.61, 0.39], [0.2, 0.8]])
    figure = report(spec(2), predictions(samples_of(outputs, np.array([0, 1, 1, 0, 1])))).figures["reliability"]
    assert isinstance(figure, ReliabilityDiagram)
    found = figure.bins
    assert sum(each.samples for each in found) == 5
    assert all(each.low < each.confidence <= each.high for each in found if each.confidence is not None)
    assert [each.accuracy for each in found if each.samples] == [0.0, 0.0, 1.0, 1.0, 1.0]
