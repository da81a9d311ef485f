"""Dead and saturated units are told with a trial that proves them; healthy rectifiers are left alone."""

from __future__ import annotations

import pytest
from doctor_toys.network_case_toys import case, relu, seen

from dlexp.diagnosis.case import NetworkMeasure
from dlexp.diagnosis.changes import LEAKY, unbiased
from dlexp.diagnosis.layer_measures import ActivationMeasure
from dlexp.diagnosis.rules.network.units import dead_units, saturated_units

RELU = {"model.activation": "relu"}
LEAKY_WORDS = "model.activation=leaky_relu_0.1"


def test_units_that_die_in_training_are_brought_back_by_a_lower_rate() -> None:
    (found,) = dead_units(case(seen(activations=[relu(1)]), seen(activations=[relu(15)]), {"optim.lr=0.0001": 0.5}))
    assert (found.code, found.severity, found.remedy) == ("dead_units", "warning", ("optim.lr=0.0001",))
    assert found.layer == "act"
    assert any(one.is_trial for one in found.evidence)
    assert found.evidence[0].value == pytest.approx(0.75)


def test_units_dead_from_the_start_are_brought_back_by_another_activation() -> None:
    sick = seen(activations=[relu(20)])
    (found,) = dead_units(case(sick, sick, {LEAKY_WORDS: 0.5}, settings=RELU))
    assert (found.severity, found.remedy) == ("error", (LEAKY_WORDS,))


@pytest.mark.parametrize("change", [LEAKY.name, unbiased(("first",)).name])
def test_a_network_of_ones_own_has_an_action_where_no_word_mends_it(change: str) -> None:
    sick = seen(activations=[relu(18)])
    (found,) = dead_units(case(sick, sick, {change: 0.5}))
    assert found.severity == "error"
    assert found.remedy == ()
    assert "first" in found.action


def test_a_key_of_ones_own_network_is_a_word_even_where_a_change_of_the_code_saves_more() -> None:
    sick = seen(activations=[relu(20)])
    trials: dict[str, float | NetworkMeasure | str] = {
        "model.act=leaky_relu_0.1": "KeyError: leaky_relu_0.1", "model.act=leaky_relu": 0.97, "model.act=gelu": 0.5,
        unbiased(("first",)).name: 0.1,
    }  # fmt: skip
    (found,) = dead_units(case(sick, sick, trials, settings={"model.act": "relu"}))
    assert (found.severity, found.remedy) == ("error", ("model.act=gelu",))


def test_a_negative_bias_that_is_a_key_is_set_to_0() -> None:
    sick = seen(activations=[relu(20)])
    (found,) = dead_units(case(sick, sick, {"model.bias=0": 0.3}, settings={"model.bias": -6.0}))
    assert found.remedy == ("model.bias=0",)
    (found,) = dead_units(case(sick, sick, {"model.bias=0": 0.3}, settings={"model.bias": 0.5}))
    assert found.remedy == ()


@pytest.mark.parametrize("dead", [0, 4])
def test_few_dead_units_are_no_fault_whatever_a_trial_says(dead: int) -> None:
    sick = seen(activations=[relu(dead)])
    assert not list(dead_units(case(sick, sick, {LEAKY_WORDS: 0.1}, settings=RELU)))


def test_dead_units_without_a_trial_that_is_better_are_a_note() -> None:
    (found,) = dead_units(case(seen(activations=[relu(0)]), seen(activations=[relu(15)])))
    assert found.severity == "note"


def test_dead_units_of_a_network_that_learned_nothing_are_a_warning() -> None:
    sick = seen(2.3, [relu(20)])
    (found,) = dead_units(case(sick, sick))
    assert found.severity == "warning"


def test_the_activation_of_the_outputs_has_no_dead_units() -> None:
    sick = seen(activations=[relu(20, is_end=True)])
    assert not list(dead_units(case(sick, sick, {LEAKY_WORDS: 0.1}, settings=RELU)))


def tanh(saturated: float, **more: object) -> ActivationMeasure:
    usual = {"saturated": saturated, "input_size": 8.0, **more}
    return ActivationMeasure("act", "tanh", "first", 20, **usual)  # type: ignore[arg-type]


def test_saturated_units_are_mended_by_words_where_there_are_any() -> None:
    sick = seen(activations=[tanh(0.8)])
    settings = {"model.norm": "none", "model.init": "normal"}
    (found,) = saturated_units(case(sick, sick, {"model.norm=batch": 0.5, "model.init=auto": 0.8}, settings=settings))
    assert (found.code, found.severity, found.remedy) == ("saturated_units", "warning", ("model.norm=batch",))


def test_saturated_units_of_a_network_of_ones_own_are_proven_by_smaller_weights() -> None:
    sick = seen(activations=[tanh(0.8)])
    trial = "with the initial weights of first times 0.125"
    (found,) = saturated_units(case(sick, sick, {trial: 0.5}))
    assert (found.severity, found.remedy) == ("warning", ())
    assert "first" in found.action


@pytest.mark.parametrize("place", [tanh(0.3), tanh(0.8, is_gate=True), tanh(0.8, is_end=True)])
def test_healthy_units_gates_and_outputs_are_not_saturated_units(place: ActivationMeasure) -> None:
    sick = seen(activations=[place])
    assert not list(saturated_units(case(sick, sick, {"model.norm=batch": 0.1}, settings={"model.norm": "none"})))
