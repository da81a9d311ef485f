"""Numbers that are not finite, and of few digits, on made-up runs."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
from doctor_toys.made_runs import Made

from dlexp.diagnosis.case import Trace
from dlexp.diagnosis.rules.optimization.numbers import low_precision, not_finite_update

TRACE = Trace([2.3] * 20, [1.0] * 20, 0, {"w": 5e-3}, {}, 0.3)
FAILED = replace(TRACE, failed_at=7, failure="the loss became nan", failed_in="layer", failed_name="net.2")


@pytest.fixture
def made() -> Made:
    return Made()


def test_the_layer_and_the_word_that_mends_are_named(made: Any) -> None:
    made.trials = {("optim.lr=0.001",): (inf, inf), ("optim.lr=0.0001",): (0.3, 0.3)}
    made.trials |= {("trainer.clip_norm=1",): (0.5, 0.5), ("optim.lr=1e-05",): (1.0, 1.0)}
    (found,) = not_finite_update(made.case((2.3, 2.3), first=FAILED, ending="not finite", failed_at=8))
    assert (found.severity, found.layer, found.remedy) == ("error", "net.2", ("optim.lr=0.0001",))
    assert "net.2" in found.what and any(e.value == 8 for e in found.evidence)


def test_a_failure_of_later_updates_is_tried_from_the_stored_weights(made: Any) -> None:
    made.trials = {("trainer.clip_norm=1",): (0.3, 0.3)}
    case = made.case((1.0, 1.0), last=FAILED, ending="not finite")
    (found,) = not_finite_update(case)
    assert found.remedy == ("trainer.clip_norm=1",) and {start for _, start, _ in made.asked} == {"stored"}


def test_numbers_of_the_data_go_to_the_data(made: Any) -> None:
    first = replace(FAILED, failed_in="data", failed_name="inputs")
    (found,) = not_finite_update(made.case((2.3, 2.3), first=first, ending="not finite"))
    assert not found.remedy and "inputs" in found.what and not made.asked


def test_what_no_trial_mends_has_an_action(made: Any) -> None:
    made.trials = {(f"optim.lr={0.01 / 10**n:.3g}",): (inf, inf) for n in range(1, 7)}
    made.trials[("trainer.clip_norm=1",)] = (inf, inf)
    (found,) = not_finite_update(made.case((2.3, 2.3), first=replace(FAILED, failed_in="loss", failed_name="")))
    assert not found.remedy and found.action and "logarithm" in found.cause


def test_finite_runs_are_silent_and_gradients_of_nan_are_not(made: Any) -> None:
    assert not list(not_finite_update(made.case()))
    columns = {"train/loss": [1.0, nan], "val/loss": [1.0, nan]}
    assert [one.code for one in not_finite_update(made.case(columns=columns))] == ["not_finite"]
    start = made.network((2.3, 2.3), 1.0, [1e-2])
    bad = replace(start, parameters=[replace(start.parameters[0], gradient=nan, not_finite=100)])
    assert [one.code for one in not_finite_update(made.case(None, start=bad))] == ["not_finite"]


def test_precision_is_judged_by_a_trial_in_fp32(made: Any) -> None:
    made.trials = {("trainer.precision=fp32",): (0.2, 0.2)}
    (found,) = low_precision(made.case((1.0, 1.0), trainer__precision="bf16"))
    assert (found.severity, found.remedy) == ("warning", ("trainer.precision=fp32",))
    assert not list(low_precision(made.case((1.0, 1.0), trainer__precision="fp32")))
    made.trials = {("trainer.precision=fp32",): (0.99, 0.99)}
    assert not list(low_precision(made.case((1.0, 1.0), trainer__precision="bf16")))


def test_updates_that_the_scaler_skips_are_counted(made: Any) -> None:
    first = replace(TRACE, gradient_norms=[inf] * 10 + [1.0] * 10)
    (found,) = low_precision(made.case((1.0, 1.0), first=first, trainer__precision="fp16"))
    assert found.severity == "note" and any(e.value == 0.5 for e in found.evidence)
