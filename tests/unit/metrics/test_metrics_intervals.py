"""Intervals against closed forms, SciPy and what they must cover."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dlexp.metrics.bootstrap import Resampling, blocks
from dlexp.metrics.class_samples import ClassSamples
from dlexp.metrics.intervals.classes import class_intervals, each_class
from dlexp.metrics.intervals.shares import area, exact, mean_of_shares, score
from dlexp.metrics.intervals.studentized import bootstrap_t, mean_and_error
from dlexp.metrics.intervals.values import value_intervals
from dlexp.metrics.outputs import ClassOutputs
from dlexp.metrics.regression import ValueSamples

Array = np.ndarray[Any, Any]
LEVEL = 0.95


@pytest.mark.parametrize("trials", [1, 50, 359])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_a_share_has_the_bounds_of_scipy(trials: int, level: float) -> None:
    hits = np.unique([0, 1, trials // 2, trials - 1, trials])
    low, high = exact(hits, trials, level)
    for n, x in enumerate(hits):
        theirs = stats.binomtest(int(x), trials).proportion_ci(level, "exact")
        assert (low[n], high[n]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert np.isnan(exact(0, 0, level)).all()


@pytest.mark.parametrize("trials", [50, 100, 359, 2000])
def test_a_share_is_covered_whatever_it_is(trials: int) -> None:
    """Exactly: the probability of every number of hits, where its bounds hold the share."""
    hits = np.arange(trials + 1)
    low, high = exact(hits, trials, LEVEL)
    for share in (0.5, 0.9, 0.99, 0.998, 0.9995, 1 - 0.18 / trials):
        covers = (low <= share) & (share <= high)
        assert stats.binom.pmf(hits[covers], trials, share).sum() >= LEVEL


@pytest.mark.parametrize(("value", "trials"), [(1.0, 40), (0.0, 40), (0.3, 17.5), (0.998, 359)])
def test_the_score_interval_is_wilsons(value: float, trials: float) -> None:
    z = stats.norm.ppf(0.975)
    center, width = (value + z * z / 2 / trials) / (1 + z * z / trials), z / (1 + z * z / trials)
    width *= math.sqrt(value * (1 - value) / trials + z * z / 4 / trials**2)
    assert score(value, trials, LEVEL) == pytest.approx((center - width, center + width), abs=1e-9)


def test_an_area_of_1_has_a_lower_bound_and_one_in_the_middle_the_error_of_hanley_and_mcneil() -> None:
    one = np.ones(1)
    low, high = area(1.0, np.array([30.0]), one, 60, LEVEL)
    assert 0.85 < low < 0.99 and high == pytest.approx(1.0)
    low, high = area(0.7, np.array([4000.0]), one, 10_000, LEVEL)
    q1, q2 = 0.7 / 1.3, 2 * 0.49 / 1.7
    variance = (0.21 + 3999 * (q1 - 0.49) + 5999 * (q2 - 0.49)) / (4000 * 6000)
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(variance), rel=0.01)


def test_a_mean_of_equal_shares_is_nearly_the_share_and_holds_more_where_a_class_is_small() -> None:
    for wrong in (0, 3, 40):
        low, high = mean_of_shares(wrong / 100, np.full(wrong, 0.01), np.full(4, 0.01), LEVEL)
        assert (low, high) == pytest.approx(tuple(float(b) for b in exact(100 - wrong, 100, LEVEL)), abs=0.006)
    small = mean_of_shares(0.0, np.zeros(0), np.array([1 / 190, 1 / 10]), LEVEL)  # 95 and 5 samples, all right
    of_five = float(exact(5, 5, LEVEL)[0])
    assert small[0] == pytest.approx((1 + of_five) / 2, abs=0.03)
    assert small[1] == 1


def world(rng: np.random.Generator, count: int, num_classes: int, shift: float) -> ClassSamples:
    targets = rng.integers(num_classes, size=count)
    logits = rng.normal(size=(count, num_classes)) + shift * (np.arange(num_classes) == targets[:, None])
    return ClassSamples(ClassOutputs([0.9 * max(shift, 0.5) * logits], "logits"), targets)


def test_a_network_without_a_mistake_may_have_made_one() -> None:
    found = world(np.random.default_rng(0), 60, 3, 30.0)
    assert (found.predicted == found.targets).all()
    sure = class_intervals(found, Resampling(400))
    assert len({each.method for each in sure.values()}) > 5
    for name, value in found.values().items():
        interval = sure[name]
        assert interval.low is not None and interval.high is not None
        if name not in ("log_loss", "brier", "calibration_error"):
            assert interval.low < 0.99 and interval.high == pytest.approx(1.0), name
            assert interval.low <= value <= interval.high + 1e-12
    each = each_class(found, LEVEL)
    assert all((low < 0.95).all() and (high == 1).all() for low, high in each.values())


def test_drawn_weights_have_the_bounds_of_the_share_itself() -> None:
    """Cohen's kappa of two equal classes that are called equally often is 2 a - 1, with a the accuracy."""
    targets = np.arange(200) % 2
    guesses = np.where(np.arange(200) < 8, 1 - targets, targets)
    found = ClassSamples(ClassOutputs([np.eye(2)[guesses]], "probabilities"), targets)
    kappa = class_intervals(found, Resampling(4000))["cohen_kappa"]
    low, high = (2 * float(bound) - 1 for bound in exact(192, 200, LEVEL))
    assert (kappa.low, kappa.high) == pytest.approx((low, high), abs=0.006)


@pytest.mark.parametrize(("count", "num_classes", "shift"), [(100, 2, 3.0), (100, 5, 4.0), (50, 3, 1.0)])
def test_intervals_of_classes_cover(count: int, num_classes: int, shift: float) -> None:
    rng = np.random.default_rng(1)
    truth = world(rng, 300_000, num_classes, shift).values()
    names, times = [name for name in truth if name not in ("log_loss", "brier", "precision_weighted")], 120
    covered = dict.fromkeys(names, 0)
    for seed in range(times):
        sure = class_intervals(world(rng, count, num_classes, shift), Resampling(200, LEVEL, seed))
        for name in names:
            low, high = sure[name].low, sure[name].high
            assert low is not None and high is not None
            covered[name] += low <= truth[name] <= high
    least = 0.86 if shift < 2 else 0.9  # of 0.95, some standard errors of 0.02 below
    assert {name: hits for name, hits in covered.items() if hits < least * times} == {}


def test_the_bootstrap_t_of_a_normal_mean_is_students_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 40)
    counts = np.concatenate(list(blocks(40, 4000, 0)))
    bounds = bootstrap_t((values.mean(), values.std()), mean_and_error(counts, values), LEVEL)
    assert bounds is not None
    theirs = stats.t.interval(LEVEL, 39, values.mean(), stats.sem(values))
    assert bounds == pytest.approx(theirs, abs=0.12)
    assert bootstrap_t((1.0, 0.0), (np.ones(3), np.zeros(3)), LEVEL) == (1.0, 1.0)
    rare = np.r_[np.zeros(29), 5.0]  # a third of the resamples hold no 5: the upper bound is infinite
    rare_counts = np.concatenate(list(blocks(30, 200, 0)))
    assert bootstrap_t((rare.mean(), rare.std()), mean_and_error(rare_counts, rare), LEVEL) is None


def test_intervals_of_values_hold_each_of_several_targets_and_far_from_zero() -> None:
    rng = np.random.default_rng(3)
    true = rng.normal(size=(80, 2))
    predicted = true + 0.3 * rng.normal(size=true.shape)
    near = value_intervals(ValueSamples(predicted, true), Resampling(300))
    far = value_intervals(ValueSamples(predicted + 1e6, true + 1e6), Resampling(300))
    for name in ("mse", "mae", "mean_error", "0/r2", "1/rmse", "1/explained_variance"):
        assert near[name].method == "bootstrap-t"
        assert (near[name].low, near[name].high) == pytest.approx((far[name].low, far[name].high), rel=1e-6, abs=1e-9)
    assert near["r2"].method == near["0/median_absolute_error"].method == "percentile"
    assert near["1/max_error"].low is None
    alone = value_intervals(ValueSamples(predicted[:, :1], true[:, :1]), Resampling(300))
    assert (alone["mse"].low, alone["rmse"].low) == pytest.approx((near["0/mse"].low, near["0/rmse"].low))


def test_intervals_of_values_cover() -> None:
    rng, times, covered = np.random.default_rng(4), 200, {"mse": 0, "rmse": 0, "mae": 0, "mean_error": 0, "r2": 0}
    truth = {"mse": 0.16, "rmse": 0.4, "mae": 0.4 * math.sqrt(2 / math.pi), "mean_error": 0.0, "r2": 0.84}
    for seed in range(times):
        true = rng.normal(size=(60, 1))
        sure = value_intervals(
            ValueSamples(true + 0.4 * rng.normal(size=true.shape), true), Resampling(200, LEVEL, seed)
        )
        for name, value in truth.items():
            low, high = sure[name].low, sure[name].high
            assert low is not None and high is not None
            covered[name] += low <= value <= high
    assert {name: hits for name, hits in covered.items() if not 0.88 * times <= hits <= times} == {}
