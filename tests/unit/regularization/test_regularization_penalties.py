from __future__ import annotations

import pytest
import torch
from torch import nn

from dlexp.regularization.penalties import Penalty


def weights() -> list[nn.Parameter]:
    return [nn.Parameter(torch.tensor([[1.0, -2.0]])), nn.Parameter(torch.tensor([3.0, 0.0]))]


@pytest.mark.parametrize(("l1", "l2", "value"), [(0.0, 0.0, 0.0), (0.5, 0.0, 3.0), (0.0, 0.25, 3.5), (0.5, 0.25, 6.5)])
def test_a_penalty_is_its_formula(l1: float, l2: float, value: float) -> None:
    found = Penalty(l1, l2)(weights())
    assert found.shape == ()
    assert found.item() == value


def test_its_gradient_pulls_towards_zero() -> None:
    given = weights()
    Penalty(0.5, 0.25)(given).backward()
    assert given[0].grad is not None
    assert given[1].grad is not None
    assert torch.equal(given[0].grad, torch.tensor([[1.0, -1.5]]))
    assert torch.equal(given[1].grad, torch.tensor([2.0, 0.0]))


def test_a_penalty_of_nothing_is_false() -> None:
    assert not Penalty(0.0, 0.0)
    assert Penalty(1e-9, 0.0)
    assert Penalty(0.0, 1e-9)


def test_no_weights_cost_nothing() -> None:
    assert Penalty(1.0, 1.0)([]).item() == 0
