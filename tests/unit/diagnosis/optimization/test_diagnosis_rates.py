"""Learning rates that are too high or too low, on made-up runs."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from doctor_toys.made_runs import TRACE, Made

from dlexp.diagnosis.case import Trace
from dlexp.diagnosis.rules.optimization.rates import rate_too_high, rate_too_low

BURST = Trace([2.3, 40.0, 60.0, 30.0, 2.4] * 4, [1.0] * 20, 0, {"w": 5e-3}, {}, 0.3)
SLOW = Trace([2.3] * 20, [1.0] * 20, 0, {"w": 1e-5}, {}, 0.3)


@pytest.fixture
def made() -> Made:
    return Made()


def test_a_rate_that_threw_the_weights_away_is_an_error_with_the_best_lower_one(made: Any) -> None:
    made.trials = {("optim.lr=0.1",): (0.3, 0.4), ("optim.lr=0.01",): (0.2, 0.3), ("optim.lr=0.001",): (0.9, 0.9)}
    (found,) = rate_too_high(made.case((2.31, 2.3), first=BURST, spread=0.0, optim__lr=1.0))
    assert (found.code, found.severity, found.remedy) == ("rate_too_high", "error", ("optim.lr=0.01",))
    assert {e.is_trial for e in found.evidence} == {True, False}
    for e in found.evidence:
        assert e.limit is not None and (e.value > e.limit if e.side == "above" else e.value < e.limit)


def test_rates_are_lowered_until_one_does_not_burst(made: Any) -> None:
    made.trials = {(f"optim.lr={v:.3g}",): (inf, inf) for v in (1e3, 1e2, 10.0, 1.0)} | {("optim.lr=0.1",): (0.3, 0.3)}
    (found,) = rate_too_high(made.case((inf, inf), first=replace(BURST, failed_at=3), optim__lr=1e4))
    assert found.remedy == ("optim.lr=0.1",)


@pytest.mark.parametrize(("lower", "severity"), [(0.2, "error"), (1.2, "warning"), (1.6, None)])
def test_the_lead_of_a_lower_rate_decides(made: Any, lower: float, severity: str | None) -> None:
    made.trials = {("optim.lr=0.001",): (lower, lower)}
    found = list(rate_too_high(made.case((1.7, 1.7), first=BURST)))
    assert [one.severity for one in found] == ([severity] if severity else [])


def test_a_lower_rate_must_lead_on_both_splits(made: Any) -> None:
    made.trials = {("optim.lr=0.001",): (0.1, 1.7)}
    assert not list(rate_too_high(made.case((1.7, 1.7), first=BURST)))


def test_a_run_that_has_learned_is_not_tried(made: Any) -> None:
    assert not list(rate_too_high(made.case((0.1, 0.2)))) and not list(rate_too_low(made.case((0.1, 0.2))))
    assert not made.asked


def test_a_bad_start_is_no_burst(made: Any) -> None:
    case = made.case((0.1, 0.1), first=BURST, start=made.network((50.0, 50.0)))
    assert not list(rate_too_high(case)) and not made.asked


def test_a_rate_too_low_gets_the_best_higher_one(made: Any) -> None:
    made.trials = {("optim.lr=1e-05",): (2.0, 2.0), ("optim.lr=0.0001",): (0.5, 0.5), ("optim.lr=0.001",): (0.1, 0.1)}
    made.trials[("optim.lr=0.01",)] = (0.4, 0.4)
    (found,) = rate_too_low(made.case((2.25, 2.25), first=SLOW, optim__lr=1e-6))
    assert (found.severity, found.remedy) == ("warning", ("optim.lr=0.001",))


def test_a_rate_far_too_low_is_found_where_ten_times_it_does_nothing(made: Any) -> None:
    made.trials = {("optim.lr=1e-06",): (0.2, 0.2)}
    first = replace(SLOW, ratios={"w": 1e-8})
    (found,) = rate_too_low(made.case((2.3, 2.3), first=first, optim__lr=1e-9))
    assert found.remedy == ("optim.lr=1e-06",)


def test_updates_of_usual_size_give_a_note_at_most(made: Any) -> None:
    made.trials = {("optim.lr=0.1",): (0.1, 0.1)}
    (found,) = rate_too_low(made.case((1.0, 1.0)))
    assert found.severity == "note"


def test_where_the_schedule_is_spent_it_is_the_schedule_and_not_the_rate(made: Any) -> None:
    """A trial shorter than the run learns more with ten times the rate, which only puts off the end."""
    made.trials = {("optim.lr=0.1",): (0.3, 0.3), ("scheduler=cosine",): (0.6, 0.6)}
    columns = {"train/loss": [1.5] * 9, "val/loss": [1.5] * 9, "lr": [0.01 * 0.1**n for n in range(9)]}
    (found,) = rate_too_low(made.case((1.5, 1.5), columns=columns, options={"scheduler": "exponential"}))
    assert found.remedy == ("scheduler=cosine",) and "schedule" in found.what
    lasting = {**columns, "lr": [0.01] * 9}
    (found,) = rate_too_low(made.case((1.5, 1.5), columns=lasting, options={"scheduler": "constant"}))
    assert found.remedy == ("optim.lr=0.1",)
    made.trials[("scheduler=cosine",)] = (1.5, 1.5)  # it alone does nothing
    (found,) = rate_too_low(made.case((1.5, 1.5), columns=columns, options={"scheduler": "exponential"}))
    assert found.remedy == ("optim.lr=0.1",)


def test_a_small_rate_that_suits_a_trained_network_is_left(made: Any) -> None:
    """Fine-tuning: little falls, and more of it makes things worse."""
    made.trials = {("optim.lr=0.0001",): (0.4, 0.5)}
    case = made.case((0.3, 0.35), first=SLOW, start=made.network((0.4, 0.4)), optim__lr=1e-5)
    assert not list(rate_too_low(case))


def test_before_training_a_run_is_judged_by_where_it_goes(made: Any) -> None:
    """After a tenth of the updates a slower rate is behind, which is no fault."""
    made.trials = {("optim.lr=0.1",): (0.2, 0.2)}
    assert not list(rate_too_low(made.case(None, first=SLOW)))
    short = made.case(None, first=SLOW, epochs=1)
    assert [one.code for one in rate_too_low(short)] == ["rate_too_low"]


def test_rates_are_lowered_for_as_long_as_it_helps_clearly(made: Any) -> None:
    """From a rate of a million, six tenths further is still too high, and the first that learns anything is not it."""
    wild = {(f"optim.lr={v:.3g}",): (inf, inf) for v in (1e5, 1e4, 1e3, 1e2)}
    made.trials = wild | {("optim.lr=10",): (2.3, 2.31), ("optim.lr=1",): (2.2, 2.25), ("optim.lr=0.1",): (0.4, 0.6)}
    made.trials |= {("optim.lr=0.01",): (0.1, 0.2), ("optim.lr=0.001",): (0.9, 0.9)}
    (found,) = rate_too_high(made.case((inf, inf), first=replace(BURST, failed_at=2), optim__lr=1e6))
    assert found.remedy == ("optim.lr=0.01",)


@pytest.mark.parametrize(("epochs", "rate"), [(1, "0.1"), (10, "0.01")])
def test_of_two_equal_rates_a_run_longer_than_the_trial_takes_the_lower(made: Any, epochs: int, rate: str) -> None:
    made.trials = {("optim.lr=0.1",): (0.30, 0.35), ("optim.lr=0.01",): (0.33, 0.36), ("optim.lr=0.001",): (1.5, 1.5)}
    (found,) = rate_too_high(made.case((2.31, 2.3), first=BURST, spread=0.0, optim__lr=1.0, epochs=epochs))
    assert found.remedy == (f"optim.lr={rate}",)


def test_rates_that_change_nothing_are_not_lowered_without_end(made: Any) -> None:
    """Numbers that a network itself makes infinite are so at every rate."""
    case = made.case((inf, inf), first=replace(BURST, failed_at=3), optim__lr=1e-3)
    assert not list(rate_too_high(case)) and len(made.asked) <= 40


def test_weights_that_were_trained_before_may_lose_some_of_it(made: Any) -> None:
    """A first loss of 0.02 is no measure of no knowledge: the loss of constant predictions is."""
    tuned = replace(
        made.case((0.037, 0.061), first=replace(TRACE, losses=[0.02, 0.3, 0.1, 0.05] * 5), optim__lr=0.01),
        start=made.network((0.02, 0.06)),
        constant_loss=2.3,
    )
    assert not list(rate_too_high(tuned))
    assert list(rate_too_high(replace(tuned, constant_loss=None))) == list(rate_too_high(tuned))
