"""Weights of few digits are told where updates are rounded away and 32 bits learn more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from doctor_toys.network_case_toys import case, seen, weight
from torch import nn

from dlexp.diagnosis.case import Case, NetworkMeasure
from dlexp.diagnosis.changes import IN_FP32
from dlexp.diagnosis.measures.updates import digits_of
from dlexp.diagnosis.rules.optimization.rounding import rounded_updates

COARSE = weight(digits=8)


def coarse(lost: float, trials: dict[str, float | NetworkMeasure | str], **more: Any) -> Case:
    """A run with a loss of 1, a share of whose updates is rounded away."""
    made = case(seen(2.3, parameters=[COARSE]), seen(1.0, parameters=[COARSE]), trials, **more)
    assert made.first is not None
    return replace(made, first=replace(made.first, rounded_away={COARSE.name: lost}))


def test_lost_updates_and_a_trial_with_32_bits_are_two_kinds_of_evidence() -> None:
    (found,) = rounded_updates(coarse(0.8, {IN_FP32.name: seen(0.4)}))
    assert (found.code, found.severity, found.remedy, found.layer) == ("low_precision", "warning", (), COARSE.name)
    assert [one.limit for one in found.evidence] == [24, 0.25, 0.05]
    assert "fp32" in found.action


def test_a_rate_whose_updates_are_not_lost_is_a_remedy() -> None:
    (found,) = rounded_updates(coarse(0.8, {IN_FP32.name: 0.4, "optim.lr=0.01": 0.35}))
    assert found.remedy == ("optim.lr=0.01",)


def test_the_key_of_the_format_is_a_remedy_before_the_rate() -> None:
    trials: dict[str, float | NetworkMeasure | str] = {
        IN_FP32.name: 0.4, "model.dtype=float32": 0.4, "optim.lr=0.01": 0.1,
    }  # fmt: skip
    (found,) = rounded_updates(coarse(0.8, trials, settings={"model.dtype": "bfloat16"}))
    assert found.remedy == ("model.dtype=float32",)


@pytest.mark.parametrize(("lost", "wide"), [(0.1, 0.1), (0.8, 0.99), (0.8, 1.5)])
def test_few_lost_updates_and_networks_that_learn_as_much_are_healthy(lost: float, wide: float) -> None:
    assert not list(rounded_updates(coarse(lost, {IN_FP32.name: wide})))


def test_weights_of_32_bits_are_never_told() -> None:
    sick = coarse(0.8, {IN_FP32.name: 0.1})
    assert sick.end is not None
    assert not list(rounded_updates(replace(sick, end=replace(sick.end, parameters=[weight()]))))


def test_the_digits_of_formats() -> None:
    formats = (torch.float32, torch.float16, torch.bfloat16, torch.int64)
    assert [digits_of(one) for one in formats] == [24, 11, 8, 24]


class _Half(nn.Module):
    """Weights of 8 digits, and every way to ask for 16 bits."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2).bfloat16()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.layer(x.half().to(torch.bfloat16).to(dtype=torch.bfloat16).bfloat16())
        return answer + torch.zeros(2, dtype=torch.bfloat16)


def test_a_network_of_16_bits_computes_in_32_with_the_same_weights() -> None:
    network = _Half()
    weights = network.layer.weight.detach().float().clone()
    IN_FP32.apply(nn.ModuleDict({"model": network}))
    answer = network(torch.ones(4, 3))
    assert answer.dtype == torch.float32
    assert torch.equal(network.layer.weight, weights)
    assert torch.ones(1).bfloat16().dtype == torch.bfloat16  # nothing remains after the forward pass
