from __future__ import annotations

import pytest
import torch
from torch import nn

from dlexp.optim.groups import parameter_groups, weights_of


class Net(nn.Module):
    """One of each kind of layer that has parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.batch = nn.BatchNorm2d(4)
        self.layer = nn.LayerNorm(4)
        self.group = nn.GroupNorm(2, 4)
        self.instance = nn.InstanceNorm2d(4, affine=True)
        self.rms = nn.RMSNorm(4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.lstm = nn.LSTM(4, 4)
        self.embedding = nn.Embedding(5, 4)
        self.linear = nn.Linear(4, 2)
        self.scale = nn.Parameter(torch.ones(3))


WEIGHTS = {
    "conv.weight",
    "attention.in_proj_weight",
    "attention.out_proj.weight",
    "lstm.weight_ih_l0",
    "lstm.weight_hh_l0",
    "embedding.weight",
    "linear.weight",
    "scale",
}


def names(net: nn.Module, parameters: list[nn.Parameter]) -> list[str]:
    by_id = {id(p): name for name, p in net.named_parameters()}
    return [by_id[id(p)] for p in parameters]


def test_norms_and_biases_are_not_decayed() -> None:
    net = Net()
    decayed, spared = parameter_groups([net], False)
    assert set(names(net, decayed["params"])) == WEIGHTS
    assert "weight_decay" not in decayed
    assert set(names(net, spared["params"])) == {name for name, _ in net.named_parameters()} - WEIGHTS
    assert spared["weight_decay"] == 0.0


def test_every_parameter_is_in_one_group_once() -> None:
    nets: list[nn.Module] = [Net(), Net()]
    for asked in (False, True):
        found = [id(p) for group in parameter_groups(nets, asked) for p in group["params"]]
        assert len(found) == len(set(found))
        assert set(found) == {id(p) for net in nets for p in net.parameters()}


def test_norms_and_biases_are_decayed_when_asked() -> None:
    net = Net()
    (only,) = parameter_groups([net], True)
    assert "weight_decay" not in only
    assert len(only["params"]) == len(list(net.parameters()))


@pytest.mark.parametrize("asked", [False, True])
def test_frozen_parameters_are_left_out(asked: bool) -> None:
    net = Net()
    net.conv.requires_grad_(False)
    net.layer.requires_grad_(False)
    found = {name for group in parameter_groups([net], asked) for name in names(net, group["params"])}
    assert found == {n for n, _ in net.named_parameters() if not n.startswith(("conv.", "layer."))}


def test_the_optimizer_decays_weights_alone() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(parameter_groups([net], False), lr=1.0, weight_decay=0.5)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, p in net.named_parameters():
        share = 0.5 if name in ("0.weight", "2.weight") else 1.0
        assert torch.equal(p, share * before[name]), name


def test_tied_weights_are_named_once() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    assert names(net, weights_of([net])) == ["0.weight"]


def test_networks_with_only_norms_or_only_weights_make_one_group() -> None:
    assert [g.get("weight_decay") for g in parameter_groups([nn.BatchNorm1d(3)], False)] == [0.0]
    assert [g.get("weight_decay") for g in parameter_groups([nn.Linear(3, 3, bias=False)], False)] == [None]


def test_nothing_to_train_is_an_error() -> None:
    with pytest.raises(ValueError, match="no trainable parameter"):
        parameter_groups([nn.Linear(2, 2).requires_grad_(False)], False)
