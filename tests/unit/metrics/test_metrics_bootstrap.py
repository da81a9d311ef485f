"""Intervals by resampling, against closed forms, SciPy's bootstrap and what they must cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dlexp.metrics import bootstrap
from dlexp.metrics.bootstrap import Floats, blocks, interval, intervals, resampled


def mean_of(values: Floats) -> bootstrap.Statistic:
    return lambda counts: {"mean": counts @ values / counts.sum(axis=1)}


def test_every_resample_holds_as_many_samples_as_there_are() -> None:
    counts = np.concatenate(list(blocks(40, 700, seed=3)))
    assert counts.shape == (700, 40)
    assert (counts.sum(axis=1) == 40).all()
    assert (counts == counts.round()).all()
    assert counts.mean() == 1
    # Of N draws a sample is left out with probability (1 - 1/N)^N.
    assert (counts == 0).mean() == pytest.approx((1 - 1 / 40) ** 40, abs=0.01)
    assert counts.var() == pytest.approx(1 - 1 / 40, abs=0.03)


def test_the_resamples_depend_on_seed_and_size_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(blocks(13, 50, seed=1)))
    monkeypatch.setattr(bootstrap, "_BLOCK", 13 * 7)
    parts = list(blocks(13, 50, seed=1))
    assert [len(part) for part in parts] == [7] * 7 + [1]
    assert np.array_equal(np.concatenate(parts), whole)
    assert np.array_equal(np.concatenate(list(blocks(13, 20, seed=1))), whole[:20])
    assert not np.array_equal(np.concatenate(list(blocks(13, 50, seed=2))), whole)


def test_an_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = intervals(mean_of(values), 400, resamples=4000, level=0.9, seed=0)["mean"]
    error = values.std() / math.sqrt(400)
    expected = stats.norm.interval(0.9, values.mean(), error)
    assert found.low == pytest.approx(expected[0], abs=0.1 * error)
    assert found.high == pytest.approx(expected[1], abs=0.1 * error)
    assert (found.undefined, found.reason) == (0, "")


def test_an_interval_is_scipys_percentile_interval() -> None:
    values = np.random.default_rng(1).exponential(1.0, 60)
    found = intervals(mean_of(values), 60, resamples=6000, level=0.95, seed=0)["mean"]
    theirs = stats.bootstrap((values,), np.mean, n_resamples=6000, method="percentile", rng=np.random.default_rng(5))
    error = theirs.standard_error
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.12 * error)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.12 * error)


def test_a_95_percent_interval_of_an_accuracy_covers_it_so_often() -> None:
    rng, truth, count, trials = np.random.default_rng(2), 0.8, 200, 400
    covered = 0
    for trial in range(trials):
        hits = (rng.random(count) < truth).astype(np.float64)
        found = intervals(mean_of(hits), count, resamples=300, level=0.95, seed=trial)["mean"]
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert 0.91 < covered / trials < 0.98  # 0.95 within four standard errors below and three above


def test_undefined_resamples_are_counted_and_too_many_leave_no_interval() -> None:
    values = np.arange(100.0)
    values[[3, 50]] = np.nan
    found = interval(values, 0.5)
    assert found.undefined == 2
    assert found.low == pytest.approx(np.quantile(np.delete(np.arange(100.0), [3, 50]), 0.25))
    values[:10] = np.nan
    found = interval(values, 0.5)
    assert (found.low, found.high, found.undefined) == (None, None, 11)
    assert found.reason == "undefined in 11 of 100 resamples"
    nothing = interval(np.full(20, np.nan), 0.95)
    assert (nothing.low, nothing.undefined) == (None, 20)


def test_two_statistics_of_one_seed_are_paired() -> None:
    first = np.random.default_rng(4).normal(size=50)
    one = resampled(mean_of(first), 50, resamples=30, seed=9)["mean"]
    other = resampled(mean_of(first + 0.25), 50, resamples=30, seed=9)["mean"]
    assert other - one == pytest.approx(np.full(30, 0.25))


@pytest.mark.parametrize(("count", "resamples"), [(0, 5), (5, 0)])
def test_nothing_to_resample_is_an_error(count: int, resamples: int) -> None:
    with pytest.raises(ValueError, match=f"count={count}, resamples={resamples}"):
        resampled(mean_of(np.ones(count)), count, resamples=resamples, seed=0)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_is_a_share(level: float) -> None:
    with pytest.raises(ValueError, match=f"level={level}"):
        interval(np.ones(3), level)
