"""Zero weights stay zero through every optimizer, and their averages are zero too."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from engine_toys import rules, state_of, values_batch, values_task
from torch import nn

from dlexp.compression.magnitude import Sparsity, prunable_weights, sparsity_of
from dlexp.engine.step import train_step
from dlexp.engine.zeros import ZeroWeights
from dlexp.regularization.weight_averaging import Ema


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1),
    ],
)
def test_pruned_weights_stay_zero_and_the_others_are_trained(make: object) -> None:
    model = network()
    assert callable(make)
    state = state_of(model, make(model.parameters()))
    with_zeros = replace(rules(), zeros=ZeroWeights(Sparsity(0.5)))
    train_step(values_task(), state, [values_batch(8)], with_zeros)
    zeros, before = [p == 0 for p in model.parameters()], [p.clone() for p in model.parameters()]
    assert [int(mask.sum()) for mask in zeros] == [12, 0, 4, 0]
    for row in range(3):
        train_step(values_task(), state, [values_batch(8, first_row=8 * row)], with_zeros)
    for mask, old, new in zip(zeros, before, model.parameters(), strict=True):
        assert torch.equal(new == 0, mask)
        assert not torch.equal(old, new)


def test_the_gradient_of_a_zero_weight_is_zero_so_that_nothing_gathers_in_the_optimizer() -> None:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    state = state_of(model, optimizer)
    train_step(values_task(), state, [values_batch(8)], replace(rules(), zeros=ZeroWeights(Sparsity(0.5))))
    weight = prunable_weights([model])[0]
    assert (optimizer.state[weight]["exp_avg"][weight == 0] == 0).all()


def test_a_sparsity_that_grows_ends_where_it_shall_and_the_average_is_zero_there() -> None:
    model = network()
    state = state_of(model, torch.optim.SGD(model.parameters(), lr=0.05))
    state.average = Ema(state.networks, 0.9)
    with_zeros = replace(rules(), zeros=ZeroWeights(Sparsity(0.75, "global", 4)))
    seen = []
    for row in range(7):
        train_step(values_task(), state, [values_batch(8, first_row=8 * row)], with_zeros)
        seen.append(sparsity_of(prunable_weights([model])))
    assert seen[0] == 0.0
    assert seen == sorted(seen)
    assert seen[4:] == [0.75] * 3
    weights = [state.average.weights()[f"model.{name}.weight"] for name in ("0", "2")]
    assert sparsity_of(weights) == 0.75


def test_weights_are_pruned_later_where_the_update_that_should_was_skipped() -> None:
    model = network()
    state = state_of(model, torch.optim.SGD(model.parameters(), lr=0.05))
    state.step = 50
    train_step(values_task(), state, [values_batch(8)], replace(rules(), zeros=ZeroWeights(Sparsity(0.5))))
    assert sparsity_of(prunable_weights([model])) == 0.5
