from __future__ import annotations

from typing import Any

import pytest
import torch
from refusals import refused
from torch import nn

from dlexp.errors import ConfigError
from dlexp.optim.parameter_groups import parameter_groups, parameter_shares, weights_of
from dlexp.optim.schedules.smooth import cosine


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
    with pytest.raises(ValueError, match="trainable parameter"):
        parameter_groups([nn.Linear(2, 2).requires_grad_(False)], False)


def rates_of(net: nn.Module, groups: list[dict[str, Any]], lr: float) -> dict[str, float]:
    by_id = {id(p): name for name, p in net.named_parameters()}
    return {by_id[id(p)]: group.get("lr", lr) for group in groups for p in group["params"]}


def chain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 3), nn.Linear(3, 1))


def test_layer_decay_is_a_power_of_the_distance_from_the_head() -> None:
    net = chain()
    groups = parameter_groups([net], False, parameter_shares({"model": net}, 0.5, ()), 0.8)
    found = rates_of(net, groups, 0.8)
    expected = {"0": 0.2, "1": 0.2, "2": 0.4, "3": 0.8}
    assert found == pytest.approx({name: expected[name[0]] for name in found})
    assert "lr" not in groups[0]  # the first group is at the rate that was configured
    assert [group.get("weight_decay") for group in groups] == [None, 0.0, None, None, 0.0, 0.0]


def test_a_pattern_is_for_a_module_or_a_parameter_and_a_later_one_counts() -> None:
    net = chain()
    entries = [
        {"match": "2", "lr_factor": 10.0},
        {"match": "*.bias", "lr_factor": 3.0},
        {"match": "3.weight", "weight_decay": 0.7},
    ]
    groups = parameter_groups([net], False, parameter_shares({"model": net}, None, entries), 0.1)
    found = rates_of(net, groups, 0.1)
    assert found["2.weight"] == pytest.approx(1.0)
    assert found["2.bias"] == found["0.bias"] == found["1.bias"] == pytest.approx(0.3)
    assert found["0.weight"] == found["1.weight"] == 0.1
    decays = {name: group.get("weight_decay") for group in groups for name in names(net, group["params"])}
    assert decays["3.weight"] == 0.7
    assert decays["0.weight"] is None
    assert decays["1.weight"] == decays["3.bias"] == 0.0


def test_a_factor_multiplies_the_decay_of_its_layer() -> None:
    net = chain()
    entries = [{"match": "0", "lr_factor": 9.0}, {"match": "0", "lr_factor": 2.0}]
    groups = parameter_groups([net], False, parameter_shares({"model": net}, 0.5, entries), 0.8)
    assert rates_of(net, groups, 0.8)["0.weight"] == pytest.approx(0.4)


def test_names_of_several_networks_begin_with_the_network() -> None:
    nets = {"generator": nn.Linear(2, 2), "critic": nn.Linear(2, 2)}
    found = parameter_shares(nets, None, [{"match": "critic", "lr_factor": 4.0}])
    assert [found[id(nets[key].weight)].lr_factor for key in nets] == [1.0, 4.0]


@pytest.mark.parametrize(("pattern", "remedy"), [("hed", "head"), ("hed.*", "head"), ("qqq", "conv")])
def test_a_pattern_that_matches_nothing_is_an_error_with_the_nearest_names(pattern: str, remedy: str) -> None:
    net = nn.ModuleDict({"conv": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    with pytest.raises(ConfigError) as caught:
        parameter_shares({"model": net}, None, [{"match": pattern, "lr_factor": 2.0}])
    refused(caught.value, "not-found", "optim.groups", remedy)


def test_factors_for_an_optimizer_without_a_rate_are_an_error() -> None:
    net = chain()
    with pytest.raises(ConfigError) as caught:
        parameter_groups([net], False, parameter_shares({"model": net}, 0.5, ()), None)
    refused(caught.value, "not-supported", "optim.groups, optim.layer_decay")


def test_schedules_keep_the_ratios_of_the_layers() -> None:
    net = chain()
    optimizer = torch.optim.SGD(parameter_groups([net], False, parameter_shares({"model": net}, 0.5, ()), 0.8), lr=0.8)
    ratios = [group["lr"] / 0.8 for group in optimizer.param_groups]
    schedule = cosine(optimizer=optimizer, total_steps=8, steps_per_epoch=4, warmup_steps=2)
    for _ in range(7):
        optimizer.step()
        schedule.step()
        first = optimizer.param_groups[0]["lr"]
        assert [group["lr"] / first for group in optimizer.param_groups] == pytest.approx(ratios)
    assert len(set(ratios)) == 3
