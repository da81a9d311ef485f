"""What scores find: areas by hand, shares above a threshold, and the samples that are missed."""

from __future__ import annotations

import numpy as np
import pytest

from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.anomalies import ScoredSamples, Threshold, with_scores, with_steps
from dlexp.metrics.reports.figures import Histogram, SampleImages
from dlexp.metrics.reports.report import Report

SCORES = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
TRUTH = np.array([False, False, True, False, True, True])
FOUND = ScoredSamples("error", np.arange(10, 16), SCORES, ["a", "a", "z", "a", "z", "z"], TRUTH)
LIMIT = Threshold("error", 3.5, 0.9, 100)


@pytest.mark.parametrize(("quantile", "limit"), [(0.9, 9.0), (0.91, 10.0), (0.05, 1.0)])
def test_a_threshold_is_the_least_score_that_the_share_is_at_or_below(quantile: float, limit: float) -> None:
    scores = np.arange(1.0, 11.0)[::-1]
    found = Threshold.of("error", scores, quantile)
    assert (found.threshold, found.samples) == (limit, 10)
    assert (scores <= found.threshold).mean() >= quantile > (scores < found.threshold).mean()


def test_a_score_that_is_not_a_number_counts_as_infinite() -> None:
    assert Threshold.of("error", np.array([1.0, 2.0, np.nan]), 0.9).threshold == np.inf
    made = with_scores(Report({}), ScoredSamples("e", np.arange(2), np.array([1.0, np.nan]), [], None), LIMIT, None)
    assert made.metrics["share_above_threshold"] == 0.5


def test_metrics_are_those_of_counting_by_hand() -> None:
    made = with_scores(Report({"loss": 1.0}), FOUND, LIMIT, Resampling())
    # Of nine pairs one is wrong: the anomaly of score 3 below the normal sample of score 4.
    assert made.metrics["roc_auc"] == pytest.approx(8 / 9)
    assert made.metrics["average_precision"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert made.metrics["precision"] == pytest.approx(2 / 3)
    assert made.metrics["recall"] == pytest.approx(2 / 3)
    assert made.metrics["false_positive_rate"] == pytest.approx(1 / 3)
    assert made.metrics["share_above_threshold"] == 0.5
    assert made.metrics["loss"] == 1.0
    low, high = made.intervals["recall"].low, made.intervals["recall"].high
    assert low is not None and high is not None
    # Clopper and Pearson for 2 of 3, from tables of the binomial distribution.
    assert [low, high] == pytest.approx([0.0943, 0.9916], abs=1e-3)
    assert made.facts["anomaly_threshold"]["threshold"] == 3.5
    assert "50.0% of 6 samples" in made.notes[0] and "10.0%" in made.notes[0]


def test_misses_are_the_lowest_anomalies_and_the_highest_normal_samples() -> None:
    made = with_scores(Report({}), FOUND, LIMIT, None)
    images = made.figures["misses"]
    assert isinstance(images, SampleImages)
    assert images.positions == [2, 3]
    assert images.captions == [("z", "normal", "3"), ("a", "anomaly", "4")]
    assert [line[0] for line in made.tables["misses"].rows] == [12, 13]
    assert list(made.tables["scores"].header) == ["row", "class", "score", "anomaly", "flagged"]
    histogram = made.figures["scores"]
    assert isinstance(histogram, Histogram)
    assert histogram.marks == {"threshold": 3.5} and set(histogram.values) == {"normal", "anomaly"}


def test_without_anomalies_in_the_split_only_false_alarms_are_known() -> None:
    calm = ScoredSamples("error", np.arange(6), SCORES, ["a"] * 6, np.zeros(6, dtype=np.bool_))
    made = with_scores(Report({}), calm, LIMIT, None)
    assert set(made.metrics) == {"share_above_threshold", "false_positive_rate"}
    assert not {"roc", "pr", "misses"} & set(made.figures)


def test_without_a_threshold_there_are_only_areas() -> None:
    made = with_scores(Report({}), FOUND, None, None)
    assert set(made.metrics) == {"roc_auc", "average_precision"}
    assert list(made.tables["scores"].header) == ["row", "class", "score", "anomaly"]


def test_nothing_above_the_threshold_leaves_precision_undefined() -> None:
    made = with_scores(Report({}), FOUND, Threshold("error", 9.0, 0.9, 10), None)
    assert made.metrics["precision"] is None and made.metrics["recall"] == 0
    assert made.undefined == {"precision": "no sample is above the threshold"}


def test_steps_are_a_table_and_a_line_each() -> None:
    made = with_steps(Report({}), FOUND, {2: np.array([0.5, 7.0])})
    assert list(made.tables["steps"].rows) == [[12, 0, 0.5], [12, 1, 7.0]]
    assert "steps" in made.figures
    assert with_steps(made, FOUND, {}) is made
