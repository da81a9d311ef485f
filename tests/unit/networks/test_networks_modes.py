"""Modes of networks are set and put back as torch does it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dlexp.networks.modes import evaluation_mode, set_mode


class Stubborn(nn.Module):
    """Has a `train` of its own: it stays in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.calls = nn.Dropout(), 0

    def train(self, mode: bool = True) -> Stubborn:
        self.calls += 1
        return super().train(False)


def modes(network: nn.Module) -> list[bool]:
    return [module.training for module in network.modules()]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("part", [nn.Sequential(nn.Linear(2, 2), nn.Dropout()), Stubborn()])
def test_modes_are_those_of_train(part: nn.Module, training: bool) -> None:
    network = nn.ModuleDict({"model": nn.Sequential(part, nn.BatchNorm1d(2))})
    set_mode(network, training)
    found = modes(network)
    network.train(training)
    assert modes(network) == found


def test_a_module_with_a_train_of_its_own_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Stubborn()
    set_mode(nn.Sequential(part), True)
    assert (part.calls, part.training, part.inner.training) == (1, False, False)
    plain = nn.Sequential(nn.Dropout())
    asked: list[bool] = []
    monkeypatch.setattr(plain[0], "train", asked.append)
    set_mode(plain, False)
    assert asked == [False]


def test_each_module_gets_its_own_mode_back() -> None:
    network = nn.Sequential(nn.Dropout(), Stubborn(), nn.BatchNorm1d(2))
    network[0].training = True
    network[2].training = False
    before = modes(network)
    with pytest.raises(KeyError), evaluation_mode(network):
        assert not any(modes(network))
        raise KeyError
    assert modes(network) == before


def test_a_compiled_network_follows() -> None:
    inner = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    compiled: Any = torch.compile(inner)
    network = nn.ModuleDict({"model": compiled})
    set_mode(network, False)
    assert not any(modes(inner))
    set_mode(network, True)
    assert all(modes(inner))
