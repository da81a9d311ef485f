"""Averages of weights against their formulas in float64."""

from __future__ import annotations

from math import prod

import pytest
import torch
from torch import Tensor, nn

from dlexp.regularization.weight_averaging import Ema, NoAverage, Swa, WeightAverage
from dlexp.runtime.seed import generator

DECAYS = (0.0, 0.5, 0.9, 0.999)


def network(dtype: torch.dtype = torch.float64) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).to(dtype)


def moved(net: nn.Module, step: int) -> dict[str, Tensor]:
    """Give every number another value; returns the new state."""
    with torch.no_grad():
        for number, tensor in enumerate((*net.parameters(), *net.buffers())):
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator(step, number), dtype=tensor.dtype))
    return {name: value.clone() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("decay", DECAYS)
def test_ema_is_its_formula(decay: float) -> None:
    net = network()
    expected = moved(net, 0)
    average = Ema(net, decay)
    for t in range(30):
        now = moved(net, t + 1)
        average.after_update()
        d = min(decay, (1 + t) / (10 + t))
        expected = {name: d * mean + (1 - d) * now[name] for name, mean in expected.items()}
    found = average.weights()
    assert found.keys() == {name for name in net.state_dict() if "num_batches" not in name}
    for name, mean in found.items():
        torch.testing.assert_close(mean, expected[name], rtol=1e-12, atol=1e-12)


def test_after_few_updates_the_beginning_weighs_little_whatever_the_decay() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 1000.0)
    average = Ema(net, 0.9999)
    nn.init.constant_(net.weight, 0.0)
    for _ in range(20):
        average.after_update()
    # without a warm-up it would be 998
    left = prod((1 + t) / (10 + t) for t in range(20))
    assert average.weights()["weight"].item() == pytest.approx(1000 * left, rel=1e-4)
    assert left < 1e-6


def test_other_buffers_are_left_as_they_are() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.register_buffer("mask", torch.tensor([float("-inf"), 0.0]))

    net = Masked()
    average = Ema(net, 0.9)
    average.after_update()
    assert average.weights().keys() == {"layer.weight", "layer.bias"}


def test_swa_is_the_plain_mean_of_the_epochs_it_takes_in() -> None:
    net = network()
    average, seen = Swa(net, 3), []
    for epoch in range(1, 8):
        now = moved(net, epoch)
        average.after_epoch(epoch)
        average.after_epoch(epoch)  # said twice, after a stop in an evaluation
        if epoch >= 3:
            seen.append(now)
        assert bool(average.weights()) == (epoch >= 3)
    for name, mean in average.weights().items():
        torch.testing.assert_close(mean, torch.stack([one[name] for one in seen]).mean(0), rtol=1e-12, atol=1e-12)
    assert average.weights().keys() == {name for name, _ in net.named_parameters()}


def test_swa_asks_for_statistics_once_an_epoch_and_keeps_them() -> None:
    net = network()
    average = Swa(net, 2)
    average.after_epoch(1)
    assert not average.needs_statistics()
    average.after_epoch(2)
    assert average.needs_statistics()
    measured = moved(net, 9)
    average.keep_statistics()
    assert not average.needs_statistics()
    moved(net, 10)
    assert torch.equal(average.weights()["1.running_var"], measured["1.running_var"])
    average.after_epoch(3)
    assert average.needs_statistics()
    assert not Swa(nn.Linear(2, 2), 1).needs_statistics()


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_an_average_goes_on_from_its_state(kind: str) -> None:
    def fresh(net: nn.Module) -> WeightAverage:
        return Ema(net, 0.9) if kind == "ema" else Swa(net, 1)

    def advance(net: nn.Module, average: WeightAverage, steps: range) -> None:
        for step in steps:
            moved(net, step)
            average.after_update()
            average.after_epoch(step)

    whole, parted = network(torch.float32), network(torch.float32)
    moved(whole, 0)
    moved(parted, 0)
    one, first = fresh(whole), fresh(parted)
    advance(whole, one, range(1, 9))
    advance(parted, first, range(1, 5))
    second = fresh(network(torch.float32))
    state = {name: value.clone() for name, value in {**parted.state_dict(), **first.weights()}.items()}
    second = fresh(parted)
    second.load_state_dict(first.state_dict(), state)
    advance(parted, second, range(5, 9))
    assert second.state_dict() == one.state_dict()
    for name, mean in one.weights().items():
        assert torch.equal(mean, second.weights()[name])


def test_an_average_begins_with_the_weights_of_a_run_that_had_none() -> None:
    net = network()
    ema, swa = Ema(net, 0.9), Swa(net, 1)
    now = moved(net, 5)
    ema.load_state_dict({}, {})
    swa.load_state_dict({}, {})
    assert torch.equal(ema.weights()["0.weight"], now["0.weight"])
    assert swa.weights() == {}


def test_no_average_is_nothing() -> None:
    none = NoAverage()
    none.after_update()
    none.after_epoch(1)
    assert (none.weights(), none.state_dict(), none.needs_statistics()) == ({}, {}, False)
