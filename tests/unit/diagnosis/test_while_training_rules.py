"""Rules for a run that is training: each speaks only beyond its limits, and healthy courses are silent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlexp.diagnosis.rules.while_training import WHILE_TRAINING, EpochsSoFar

LN10 = 2.302585


def progress(train: list[float], val: list[float] | None = None, **others: object) -> EpochsSoFar:
    epochs = len(train)
    columns = {"train/loss": train, "val/loss": val or train, "lr": [0.1] * epochs}
    columns["val/balanced_accuracy"] = [0.5] * epochs
    return replace(EpochsSoFar(columns, classes=10, constant=LN10, rate=0.1, updates=20), **others)  # type: ignore[arg-type]


def codes(one: EpochsSoFar) -> list[str]:
    verdicts = [verdict for rule in WHILE_TRAINING for verdict in rule(one)]
    for verdict in verdicts:
        assert len(verdict.evidence) >= 2 and verdict.what and verdict.cause
        for evidence in verdict.evidence:
            assert evidence.limit is not None
            is_beyond = evidence.value > evidence.limit if evidence.side == "above" else evidence.value < evidence.limit
            assert is_beyond, evidence
    return [verdict.code for verdict in verdicts]


def test_a_loss_far_above_that_of_a_constant_output_that_does_not_fall() -> None:
    assert codes(progress([9.0, 9.5])) == ["rate_too_high"]
    assert codes(progress([9.0, 5.0])) == []  # falls
    assert codes(progress([9.0])) == []  # one epoch says nothing
    assert codes(progress([3.0, 3.1])) == []  # near chance, as at the start
    assert codes(progress([9.0, 9.5], constant=None)) == []
    assert codes(progress([9.0, 9.0], start=9.0)) == []  # a bad start, and a rate at which nothing moves
    assert codes(progress([9.0, 9.5], start=3.0)) == ["rate_too_high"]


def test_one_class_for_every_sample() -> None:
    stuck = progress([2.30, 2.29, 2.31])
    collapsed = replace(stuck, columns={**stuck.columns, "val/balanced_accuracy": [0.1, 0.1, 0.1]})
    assert codes(collapsed) == ["class_collapse"]
    assert codes(replace(collapsed, columns={**collapsed.columns, "val/balanced_accuracy": [0.1, 0.1, 0.11]})) == []
    assert codes(replace(collapsed, classes=0)) == []
    learned = {**collapsed.columns, "train/loss": [2.3, 1.9, 1.2]}
    assert codes(replace(collapsed, columns=learned)) == []  # it learns: validation will follow


def test_a_plateau_at_chance_but_not_one_that_is_warming_up() -> None:
    flat = progress([2.301, 2.302, 2.301, 2.302, 2.301])
    assert codes(flat) == ["plateau"]
    assert codes(replace(flat, columns={**flat.columns, "lr": [0.01, 0.02, 0.03, 0.04, 0.05]})) == []
    assert codes(progress([0.5, 0.5, 0.5, 0.5, 0.5])) == []  # converged
    assert codes(progress([2.4, 2.35, 2.31, 2.28, 2.25])) == []  # slow, but it falls


def test_parameters_without_a_gradient_in_three_epochs() -> None:
    half = {"a.weight": 0.1, "b.weight": None}
    assert codes(progress([2.0, 1.5, 1.0], gradients=[half, half, half])) == ["unused_parameters"]
    assert codes(progress([2.0, 1.5], gradients=[half, half])) == []
    used = {"a.weight": 0.1, "b.weight": 0.2}
    assert codes(progress([2.0, 1.5, 1.0], gradients=[half, used, half])) == []  # an expert that was not chosen
    nothing = {"a.weight": None, "b.weight": None}
    assert codes(progress([2.0, 1.5, 1.0], gradients=[nothing] * 3)) == []  # gradients that are kept elsewhere
    assert codes(progress([2.0, 1.5, 1.0], gradients=[{}, {}, {}])) == []


def test_gradients_that_vanish_on_their_way_back() -> None:
    gone = {"first.weight": 1e-12, "last.weight": 1e-2}
    assert codes(progress([2.31, 2.28, 2.33], gradients=[gone] * 3)) == ["vanishing_gradients"]
    assert codes(progress([2.0, 1.5, 1.0], gradients=[gone] * 3)) == []  # it learns all the same
    weak = {"first.weight": 1e-6, "last.weight": 1e-2}
    assert codes(progress([2.31, 2.28, 2.33], gradients=[weak] * 3)) == []


def test_updates_that_are_skipped() -> None:
    assert codes(progress([1.0], skipped=3)) == ["not_finite"]
    assert codes(progress([1.0], skipped=2)) == []  # a tenth: fp16 does that at the start


def test_overfitting_is_a_note_and_comes_late() -> None:
    train = [1.0 - 0.05 * n for n in range(15)]
    val = [1.0, 0.8, 0.7] + [0.8 + 0.05 * n for n in range(12)]
    assert codes(progress(train, val)) == ["overfitting"]
    verdict = next(verdict for rule in WHILE_TRAINING for verdict in rule(progress(train, val)))
    assert verdict.severity == "note" and verdict.remedy
    assert codes(progress(train[:12], val[:12])) == []  # nine epochs after the best one
    assert codes(progress(train, [0.9 + 0.01 * n for n in range(15)])) == []  # it rises by less than half


@pytest.mark.parametrize("losses", [[2.4, 1.0, 0.3, 0.1], [1.2], [7.0, 2.0, 0.5]])
def test_healthy_courses_are_silent(losses: list[float]) -> None:
    sizes = {"first.weight": 1e-3, "last.weight": 1e-2}
    assert codes(progress(losses, gradients=[sizes] * 3)) == []


def test_losses_that_are_not_finite_break_nothing() -> None:
    bad = float("nan")
    assert codes(progress([bad] * 15)) == []
