"""Where an update was not finite first."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from dlexp.diagnosis.measures.failure import locate_failure
from dlexp.engine.loop import Update
from dlexp.types import Batch, LossOutput, Sequences


class Log(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs * 0 - 1).log()


def update(net: nn.Module, inputs: Any, of: Callable[[Tensor], Tensor] = torch.mean, targets: Any = None) -> Update:
    def loss(phase: str, networks: Any, batch: Batch) -> LossOutput:
        given = batch.inputs.values if isinstance(batch.inputs, Sequences) else batch.inputs
        return LossOutput(of(networks["model"](given)))

    task = SimpleNamespace(phases={"train": None}, loss=loss)
    rules = SimpleNamespace(precision=SimpleNamespace(autocast=nullcontext))
    state = SimpleNamespace(networks=nn.ModuleDict({"model": net}))
    batch = Batch(inputs, targets, torch.arange(len(inputs)))
    return Update(cast(Any, task), cast(Any, state), cast(Any, rules), [batch])


def linear(value: float = 0.5) -> nn.Linear:
    net = nn.Linear(2, 2)
    nn.init.constant_(net.weight, value)
    return net


ONES = torch.ones(4, 2)


@pytest.mark.parametrize(
    ("made", "place"),
    [
        (lambda: update(linear(), torch.full((4, 2), torch.nan)), ("data", "inputs")),
        (lambda: update(linear(), Sequences(torch.full((4, 2), torch.inf), torch.ones(4))), ("data", "inputs")),
        (lambda: update(linear(), ONES, targets=torch.tensor([1.0, torch.nan, 0, 0])), ("data", "targets")),
        (lambda: update(linear(torch.nan), ONES), ("weight", "model.weight")),
        (lambda: update(nn.Sequential(linear(), Log(), linear()), ONES), ("layer", "1")),
        (lambda: update(linear(), ONES, lambda out: (out.mean() * 0).log()), ("loss", "")),
        (lambda: update(nn.Sequential(linear(), linear()), ONES, lambda out: (out * 0).sqrt().sum()), ("gradient", "")),
        (lambda: update(linear(), ONES), ("", "")),
    ],
)
def test_the_first_place_that_is_not_finite_is_named(made: Callable[[], Update], place: tuple[str, str]) -> None:
    found = locate_failure(made())
    assert found[0] == place[0] and found[1].endswith(place[1])


def test_looking_leaves_gradients_statistics_and_generators_as_they_were() -> None:
    net = nn.Sequential(linear(), nn.BatchNorm1d(2), nn.Dropout(0.5))
    net[0].weight.grad = torch.ones(2, 2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    locate_failure(update(net, ONES))
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(net[0].weight.grad, torch.ones(2, 2))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training and not any(module._forward_hooks for module in net.modules())
