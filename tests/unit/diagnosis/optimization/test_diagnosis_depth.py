"""Gradients through the depth, on made-up runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from doctor_toys.made_runs import Made

from dlexp.diagnosis.case import Trace
from dlexp.diagnosis.rules.optimization.depth import exploding_gradients, vanishing_gradients

TRACE = Trace([2.3] * 20, [1.0] * 20, 0, {"w": 5e-3}, {}, 0.3)
STEEP = [10.0**-power for power in (7, 6, 5, 4, 3, 2)]


def through(gradients: list[float]) -> Trace:
    return replace(TRACE, gradients={f"w{i}": g for i, g in enumerate(gradients)})


@pytest.fixture
def made() -> Made:
    return Made()


def test_gradients_that_vanish_are_mended_by_words_of_the_model(made: Any) -> None:
    made.trials = {("model.activation=relu",): (0.5, 0.5), ("model.norm=batch",): (0.1, 0.1)}
    settings = {"model__activation": "sigmoid", "model__norm": "none"}
    case = made.case((2.3, 2.3), first=through(STEEP), start=made.network((2.3, 2.3), 1.0, STEEP), **settings)
    (found,) = vanishing_gradients(case)
    assert (found.severity, found.remedy) == ("error", ("model.norm=batch",))
    assert not list(exploding_gradients(case))


def test_without_words_of_the_model_an_action_says_what_to_do(made: Any) -> None:
    case = made.case((2.3, 2.3), first=through(STEEP), start=made.network((2.3, 2.3), 1.0, STEEP))
    (found,) = vanishing_gradients(case)
    assert not found.remedy and found.action and found.severity == "warning"


@pytest.mark.parametrize("gradients", [[1e-2] * 6, [1e-4, 1e-3, 1e-2], [3e-3, 4e-3, 5e-3, 8e-3, 1e-2, 3e-2]])
def test_healthy_gradients_are_no_fault(made: Any, gradients: list[float]) -> None:
    case = made.case((2.3, 2.3), first=through(gradients), start=made.network((2.3, 2.3), 1.0, gradients))
    assert not list(vanishing_gradients(case)) and not list(exploding_gradients(case))


def test_gradients_that_vanish_after_a_burst_alone_are_not_of_the_depth(made: Any) -> None:
    """At the start they were well: dead units, or a rate, are at fault."""
    case = made.case((2.3, 2.3), first=through(STEEP), start=made.network((2.3, 2.3), 1.0, [1e-2] * 6))
    assert not list(vanishing_gradients(case))


def test_a_steep_network_that_learns_is_left(made: Any) -> None:
    case = made.case((0.1, 0.1), first=through(STEEP), start=made.network((2.3, 2.3), 1.0, STEEP))
    assert not list(vanishing_gradients(case)) and not made.asked


def test_gradients_of_nan_and_zero_are_no_slope(made: Any) -> None:
    bad = [float("nan")] * 6
    case = made.case((2.3, 2.3), first=through([0.0] * 6), start=made.network((2.3, 2.3), 1.0, bad))
    assert not list(vanishing_gradients(case))


def test_single_large_gradients_are_mended_by_clipping(made: Any) -> None:
    made.trials = {("trainer.clip_norm=1",): (0.2, 0.2), ("optim.lr=0.001",): (1.0, 1.0)}
    first = replace(TRACE, gradient_norms=[1.0] * 19 + [500.0])
    (found,) = exploding_gradients(made.case((2.2, 2.2), first=first))
    assert found.remedy == ("trainer.clip_norm=1",)


def test_where_a_lower_rate_is_better_the_gradient_is_not_at_fault(made: Any) -> None:
    made.trials = {("trainer.clip_norm=1",): (0.2, 0.2), ("optim.lr=0.001",): (0.1, 0.1)}
    first = replace(TRACE, gradient_norms=[1.0] * 19 + [500.0])
    assert not list(exploding_gradients(made.case((2.2, 2.2), first=first)))


def test_large_initial_weights_are_seen_by_the_growth_of_outputs(made: Any) -> None:
    case = made.case((50.0, 50.0), start=made.network((900.0, 900.0), 1.0, (), [1.0, 30.0, 900.0, 27e3]))
    made.trials = {("model.init=auto",): (0.2, 0.2)}
    assert not list(exploding_gradients(case)), "the run has made nine tenths of the drop"
    stuck = made.case(
        (900.0, 900.0),
        start=made.network((900.0, 900.0), 1.0, (), [1.0, 30.0, 900.0, 27e3]),
        model__init="normal",
        trainer__clip_norm=1.0,
    )
    (found,) = exploding_gradients(stuck)
    assert found.remedy == ("model.init=auto",)


def test_outputs_that_shrink_to_nothing_take_all_gradients_with_them(made: Any) -> None:
    """Equal gradients of all layers, and all of them far too small: initial weights of 0.01 in a deep network."""
    settings = {"model__norm": "none", "model__init": "normal", "model__activation": "relu"}
    made.trials = {("model.init=auto",): (0.1, 0.1)}

    def case(stds: list[float]) -> Any:
        start = made.network((2.3, 2.3), 1.0, [1e-12] * 6, stds)
        return made.case((2.3, 2.3), first=through([1e-12] * 6), start=start, **settings)

    (found,) = vanishing_gradients(case([1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]))
    assert found.remedy == ("model.init=auto",)
    assert not list(vanishing_gradients(case([1.0, 0.5, 0.8, 0.4, 0.2, 0.0])))


@pytest.mark.parametrize(("steps", "factor"), [(STEEP, "10"), (STEEP[::-1], "0.1")])
def test_without_words_a_trial_with_other_initial_weights_is_the_proof(made: Any, steps: Any, factor: str) -> None:
    """Own networks: each inner layer is made to pass what it gets, which the gradient by depth says by how much."""
    made.changed = (0.1, 0.2)
    start = made.network((2.3, 2.3), 1.0, steps, [1.0] * 6)
    case = made.case((2.3, 2.3), first=through(list(steps)), start=start, trainer__clip_norm=1.0)
    (found,) = [*vanishing_gradients(case), *exploding_gradients(case)]
    assert (found.severity, found.remedy, found.confidence) == ("error", (), 0.95) and found.action
    assert made.changes == [f"with the initial weights of the 4 inner layers times {factor}"]
    assert [one.is_trial for one in found.evidence if made.changes[0] in one.measure] == [True]


def test_large_initial_weights_are_levelled_by_the_growth_of_the_outputs(made: Any) -> None:
    made.changed = (0.1, 0.2)
    start = made.network((9e3, 9e3), 1.0, [1e-2] * 6, [10.0**power for power in range(6)])
    (found,) = exploding_gradients(made.case((9e3, 9e3), first=through([1e-2] * 6), start=start))
    assert found.severity == "error" and made.changes == ["with the initial weights of the 4 inner layers times 0.1"]


def test_other_initial_weights_that_do_not_help_prove_nothing(made: Any) -> None:
    start = made.network((2.3, 2.3), 1.0, STEEP, [1.0] * 6)
    (found,) = vanishing_gradients(made.case((2.3, 2.3), first=through(STEEP), start=start))
    assert made.changes and found.severity == "warning" and not any(one.is_trial for one in found.evidence)
