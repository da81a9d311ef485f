from __future__ import annotations

import math

import pytest

from dlexp.engine.best_epoch import BestSoFar


def seen(policy: BestSoFar, *values: float) -> list[bool]:
    return [policy.update(value, epoch) for epoch, value in enumerate(values, start=1)]


def test_only_a_strictly_smaller_value_is_better() -> None:
    policy = BestSoFar(maximize=False)
    assert seen(policy, 3.0, 3.0, 2.0, 2.5, 2.0) == [True, False, True, False, False]
    assert (policy.value, policy.epoch) == (2.0, 3)


def test_only_a_strictly_larger_value_is_better_when_maximizing() -> None:
    policy = BestSoFar(maximize=True)
    assert seen(policy, 0.3, 0.3, 0.2, 0.4) == [True, False, False, True]
    assert (policy.value, policy.epoch) == (0.4, 4)


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_best_and_spends_patience(maximize: bool, bad: float) -> None:
    policy = BestSoFar(maximize, patience=2)
    assert seen(policy, bad, bad) == [False, False]
    assert policy.exhausted
    assert policy.value is None
    assert policy.update(1.0, 3)
    assert not policy.exhausted


def test_a_flat_metric_exhausts_patience_after_just_that_many_epochs() -> None:
    policy = BestSoFar(maximize=False, patience=3)
    exhausted = []
    for epoch in range(1, 5):
        policy.update(1.0, epoch)
        exhausted.append(policy.exhausted)
    assert exhausted == [False, False, False, True]


def test_an_improvement_gives_all_patience_back() -> None:
    policy = BestSoFar(maximize=True, patience=2)
    seen(policy, 0.1, 0.1, 0.2, 0.2)
    assert not policy.exhausted
    policy.update(0.2, 5)
    assert policy.exhausted


def test_without_patience_nothing_is_exhausted() -> None:
    policy = BestSoFar(maximize=False)
    seen(policy, *[1.0] * 1000)
    assert not policy.exhausted


@pytest.mark.parametrize(("maximize", "sign"), [(False, -1.0), (True, 1.0)])
def test_gains_below_min_delta_spend_patience_and_still_keep_the_better_model(maximize: bool, sign: float) -> None:
    policy = BestSoFar(maximize, min_delta=0.5, patience=3)
    assert seen(policy, 0.0, sign * 0.2, sign * 0.4) == [True, True, True]
    assert policy.waited == 2
    assert (policy.value, policy.epoch) == (sign * 0.4, 3)
    assert policy.update(sign * 0.6, 4)  # slow gains add up: 0.6 is counted from 0.0
    assert policy.waited == 0


def test_a_gain_of_exactly_min_delta_is_no_progress() -> None:
    policy = BestSoFar(maximize=False, min_delta=0.5)
    seen(policy, 2.0, 1.5)
    assert policy.waited == 1


def test_a_restored_policy_goes_on_like_the_one_it_came_from() -> None:
    first = BestSoFar(maximize=False, min_delta=0.1, patience=3)
    seen(first, 1.0, 0.95, 0.97)
    second = BestSoFar(maximize=False, min_delta=0.1, patience=3)
    second.load_state_dict(first.state_dict())
    assert second == first
    for value in (0.96, 0.94):
        assert first.update(value, 4) == second.update(value, 4)
        assert first == second
    assert first.exhausted
