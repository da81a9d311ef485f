"""The difference of two forecasters over stretches of time."""

from __future__ import annotations

import numpy as np
import pytest

from dlexp.metrics.intervals.blocks import block_interval
from dlexp.metrics.intervals.paired_blocks import TimeBlocks, over_blocks
from dlexp.metrics.intervals.paired_difference import over_samples

PLACES = np.repeat(np.arange(6), [4, 4, 5, 4, 4, 5])


def test_scores_of_blocks_have_the_mean_of_the_windows_and_the_variance_of_their_interval() -> None:
    values = np.random.default_rng(0).normal(3, 1, size=(2, len(PLACES)))
    blocks = TimeBlocks(PLACES + 7, 0.75)
    found = blocks.scores(values)
    assert blocks.count == 6
    assert found.mean(axis=1) == pytest.approx(values.mean(axis=1))
    interval = block_interval(values[0], PLACES, 0.95, 0.75)
    assert interval.low is not None and interval.high is not None
    error = found[0].std(ddof=1) / np.sqrt(6)
    assert interval.high - interval.low == pytest.approx(2 * 2.570582 * error, rel=1e-6)


def test_errors_that_last_are_no_proof_though_windows_taken_one_by_one_say_so() -> None:
    rng = np.random.default_rng(1)
    first = np.repeat(rng.normal(0.4, 1, size=6), np.bincount(PLACES))[None]
    second = np.zeros_like(first)
    one_by_one = over_samples([(first, second)], 0.95, seed=0, zero_or_one=False)[0]
    found = over_blocks(first, second, TimeBlocks(PLACES, 0.75), 0.95)
    assert found.value == pytest.approx(one_by_one.value)
    assert found.high - found.low > 2 * (one_by_one.high - one_by_one.low)
    assert (found.about, found.samples, found.seeds) == ("samples", len(PLACES), (1, 1))


def test_too_few_blocks_have_no_difference() -> None:
    scores = np.zeros((1, 8))
    with pytest.raises(ValueError, match="2 independent stretches"):
        over_blocks(scores, scores, TimeBlocks(np.repeat([0, 1], 4), 0.5), 0.95)
