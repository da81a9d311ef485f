from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlexp.optim.optimizers.sgd import SGD, sgd
from dlexp.runtime.compiler import spare_compiler


def trained(optimizer_kind: type[torch.optim.SGD], thaws: int, **options: Any) -> tuple[Tensor, Tensor]:
    """Two weights after six updates, the second of which begins to learn in update `thaws`."""
    torch.manual_seed(0)
    early, late = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(4))
    groups: list[dict[str, Any]] = [{"params": [early, late]}]
    optimizer = optimizer_kind(groups, lr=0.02, momentum=0.9, **options)
    for update in range(6):
        optimizer.zero_grad()
        late.requires_grad_(update >= thaws)
        ((early @ late).square().sum() + early.sum()).backward()
        optimizer.step()
    return early.detach(), late.detach()


@pytest.mark.parametrize("options", [{}, {"nesterov": True}, {"weight_decay": 0.1, "dampening": 0.5}])
@pytest.mark.parametrize("thaws", [0, 1, 3])
def test_weights_that_thaw_are_updated_as_by_torch_without_fusing(thaws: int, options: dict[str, object]) -> None:
    for found, wanted in zip(
        trained(SGD, thaws, fused=True, **options),
        trained(torch.optim.SGD, thaws, foreach=False, **options),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted)


def test_torch_alone_refuses_what_this_is_for() -> None:
    with pytest.raises((RuntimeError, TypeError, AttributeError)):
        trained(torch.optim.SGD, 3, fused=True)


def test_without_thawing_the_bits_are_those_of_torch() -> None:
    for found, wanted in zip(trained(SGD, 0, fused=True), trained(torch.optim.SGD, 0, fused=True), strict=True):
        assert torch.equal(found, wanted)


def test_groups_are_whole_behind_a_step_and_in_a_state() -> None:
    spare_compiler()
    weights = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))]
    optimizer = sgd(params=[{"params": weights, "lr": 0.5}])
    weights[0].grad = torch.ones(2)
    optimizer.step()
    weights[1].grad = torch.ones(3)
    optimizer.step()
    assert [group["params"] for group in optimizer.param_groups] == [weights]
    state = copy.deepcopy(optimizer.state_dict())
    assert sorted(state["state"]) == [0, 1]
    again = sgd(params=[{"params": weights}])
    again.load_state_dict(state)
    assert again.param_groups[0]["lr"] == 0.5


def test_a_closure_gives_its_loss_back() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = sgd(params=[{"params": [weight]}], lr=0.1, momentum=0.0, weight_decay=0.0)

    def closure() -> float:
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 2.0
    assert weight.tolist() == pytest.approx([0.8, 0.8])
