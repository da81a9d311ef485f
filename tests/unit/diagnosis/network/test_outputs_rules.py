"""Outputs that do not fit the loss."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from doctor_toys.network_case_toys import LOGITS, case, seen, weight

from dlexp.data.columns import Dense
from dlexp.diagnosis.case import IdealLosses
from dlexp.diagnosis.changes import BARE
from dlexp.diagnosis.layer_measures import ActivationMeasure
from dlexp.diagnosis.rules.network.outputs import bad_initial_loss, double_softmax, loss_output_mismatch


def end(function: str) -> ActivationMeasure:
    return ActivationMeasure(f"{function} after head", function, "head", 10, is_end=True)


@pytest.mark.parametrize(("loss", "lost", "severity"), [(9.0, 20, "warning"), (9.0, 0, "note"), (4.0, 20, None)])
def test_a_first_loss_far_above_that_of_constant_outputs(loss: float, lost: int, severity: str | None) -> None:
    found = list(
        bad_initial_loss(case(seen(loss, parameters=[weight("model.head.weight")], lowest=-9.0), updates_lost=lost))
    )
    assert [one.severity for one in found] == ([severity] if severity else [])
    if found:
        assert found[0].layer == "head"


def test_a_first_loss_is_mended_by_another_initialization() -> None:
    (found,) = bad_initial_loss(
        case(seen(9.0, lowest=-9.0), None, {"model.init=auto": 0.5}, settings={"model.init": "normal"})
    )
    assert (found.severity, found.remedy) == ("warning", ("model.init=auto",))


def test_values_may_start_further_from_a_constant_than_classes() -> None:
    assert not list(bad_initial_loss(case(seen(3.4, lowest=-9.0), values=True, constant_loss=1.0, updates_lost=20)))
    assert list(bad_initial_loss(case(seen(8.0, lowest=-9.0), values=True, constant_loss=1.0, updates_lost=20)))


def test_outputs_near_zero_are_no_bad_start_whatever_the_loss() -> None:
    start = seen(90.0, lowest=-9.0)
    small = replace(start, train=replace(start.train, lowest=-0.4, highest=0.4))  # of networks that learn an alignment
    assert list(bad_initial_loss(case(start, updates_lost=20)))
    assert not list(bad_initial_loss(case(small, updates_lost=20)))


def test_nothing_is_said_where_no_constant_loss_is_known() -> None:
    assert not list(bad_initial_loss(case(seen(90.0, lowest=-9.0), constant_loss=None)))


def test_a_softmax_before_cross_entropy_is_proven_by_training_without_it() -> None:
    (found,) = double_softmax(
        case(seen(), seen(1.6, [end("softmax")], sums_to_one=1.0), {BARE.name: 0.1}, ideal=LOGITS)
    )
    assert (found.code, found.severity, found.remedy) == ("double_softmax", "error", ())
    assert "softmax" in found.action
    assert any(one.value == LOGITS.probabilities for one in found.evidence)


def test_a_softmax_is_right_where_the_loss_takes_probabilities() -> None:
    of_chances = IdealLosses(probabilities=0.0, scores=0.0, bounded=0.0)
    assert not list(double_softmax(case(seen(), seen(0.5, [end("softmax")], sums_to_one=1.0), ideal=of_chances)))


def test_log_softmax_twice_is_a_note_and_logits_are_nothing() -> None:
    (found,) = double_softmax(case(seen(), seen(0.5, [end("log_softmax")]), ideal=LOGITS))
    assert found.severity == "note"
    assert not list(double_softmax(case(seen(), seen(0.5), ideal=LOGITS)))


@pytest.mark.parametrize("sums_to_one", [0.0, 1.0])
def test_a_sigmoid_of_each_class_is_no_softmax(sums_to_one: float) -> None:
    """Two classes that exclude each other may sum to 1 by what was learned."""
    own = case(seen(), seen(1.6, [end("sigmoid")], sums_to_one=sums_to_one), {BARE.name: 0.1}, ideal=LOGITS)
    assert not list(double_softmax(own))
    assert [one.code for one in loss_output_mismatch(own)] == ["loss_output_mismatch"]


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
def test_bounded_outputs_of_classes_do_not_fit_a_loss_of_logits(function: str) -> None:
    (found,) = loss_output_mismatch(case(seen(), seen(1.0, [end(function)]), {BARE.name: 0.1}, ideal=LOGITS))
    assert (found.code, found.severity) == ("loss_output_mismatch", "error")


def test_a_loss_of_log_probabilities_has_no_bound_for_scores() -> None:
    own = IdealLosses(probabilities=-1.0, scores=-30.0, bounded=-1.0)
    (found,) = loss_output_mismatch(case(seen(), seen(-5.0), ideal=own, options={"loss": "mine"}))
    assert (found.severity, found.remedy) == ("error", ("loss=cross_entropy",))
    assert not list(loss_output_mismatch(case(seen(), seen(0.2, [end("log_softmax")]), ideal=own)))


def targets(*values: float) -> dict[str, SimpleNamespace]:
    return {"train": SimpleNamespace(targets=Dense(torch.tensor(values, dtype=torch.float64)[:, None]))}


@pytest.mark.parametrize(
    ("function", "severity"), [("relu", "error"), ("tanh", "error"), ("gelu", "error"), ("identity", None)]
)
def test_values_that_the_last_activation_cannot_reach(function: str, severity: str | None) -> None:
    sick = seen(0.6, [end(function)])
    told = case(seen(), sick, {BARE.name: 0.1}, values=True, splits=targets(-2.0, -1.0, 0.5, 2.0))
    assert [one.severity for one in loss_output_mismatch(told)] == ([severity] if severity else [])


def test_outputs_that_are_never_negative_are_told_where_no_activation_is_seen() -> None:
    positive = seen(0.6, lowest=0.1)
    (found,) = loss_output_mismatch(case(positive, positive, values=True, splits=targets(-2.0, -1.0, 0.5, 2.0)))
    assert found.severity == "warning"
    assert not list(loss_output_mismatch(case(positive, positive, values=True, splits=targets(0.0, 1.0))))
