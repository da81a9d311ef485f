"""Activations are seen as modules and as functions, with their slopes, and nothing of a network is changed."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.networks.inspection.activations import ActivationCall, bare, watched_activations


class Mixed(nn.Module):
    """Modules, functions, a shared module, a gate and a softmax at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
        self.first, self.second, self.third = nn.Linear(64, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.gate = nn.Sequential(nn.Linear(8, 8), nn.Sigmoid())
        self.memory = nn.LSTM(8, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)), inplace=True)
        x = self.act(self.first(x.flatten(1)))
        x = self.act(self.second(x))
        x = x * self.gate(x)
        x = self.memory(x[:, None])[0][:, 0]
        found: Tensor = self.third(x.tanh()).softmax(1)
        return found


def calls_of(network: nn.Module, inputs: Tensor) -> list[ActivationCall]:
    with torch.no_grad(), watched_activations(nn.ModuleDict({"model": network})) as calls:
        network(inputs)
    return calls


def test_modules_and_functions_are_named_by_the_layer_before_them() -> None:
    calls = calls_of(Mixed().eval(), torch.randn(5, 1, 4, 4))
    named = [(call.place, call.function, call.after) for call in calls]
    assert named == [
        ("relu after norm", "relu", "norm"),
        ("act", "relu", "first"),
        ("act", "relu", "second"),
        ("gate.1", "sigmoid", "gate.0"),
        ("tanh after memory", "tanh", "memory"),
        ("softmax after third", "softmax", "third"),
    ]


def test_gates_and_the_end_are_told_apart_from_hidden_units() -> None:
    calls = calls_of(Mixed().eval(), torch.randn(5, 1, 4, 4))
    assert [call.function for call in calls if call.is_gate] == ["relu", "sigmoid"]  # both factors of the product
    assert [call.function for call in calls if call.is_end] == ["softmax"]


def test_units_are_channels_of_maps_and_features_of_rows() -> None:
    calls = calls_of(Mixed().eval(), torch.randn(5, 1, 4, 4))
    assert [call.given.shape[call.unit] for call in calls[:2]] == [4, 8]


@pytest.mark.parametrize(
    "function", [torch.relu, F.relu, Tensor.relu, lambda x: x.clamp(min=0), lambda x: torch.clamp_min(x, 0)]
)
def test_every_form_of_a_rectifier_is_seen_with_its_slope(function: object) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = function(x)  # type: ignore[operator]
            return found + 0

    (call,) = calls_of(Net(), torch.tensor([[-1.0, 2.0], [-3.0, -0.5]]))
    assert call.slope is not None
    assert call.slope.tolist() == [[0.0, 1.0], [0.0, 0.0]]


def test_a_change_in_place_does_not_hide_the_input() -> None:
    given = torch.tensor([[-1.0, 2.0]])
    (call,) = calls_of(nn.Sequential(nn.ReLU(inplace=True)), given.clone())
    assert call.given.tolist() == given.tolist()


def test_slopes_of_smooth_functions_fade_far_on_their_flat_side() -> None:
    (call,) = calls_of(nn.Sequential(nn.GELU()), torch.tensor([[-6.0, -0.1, 3.0]]))
    assert call.slope is not None
    assert call.slope[0, 0] < 1e-3
    assert call.slope[0, 1] > 0.3
    (wide,) = calls_of(nn.Sequential(nn.Sigmoid()), torch.tensor([[0.0, 9.0]]))
    assert wide.slope is not None
    assert wide.slope[0, 0] == pytest.approx(1.0)
    assert wide.slope[0, 1] < 1e-3


def test_what_is_computed_of_the_outputs_outside_is_no_activation_of_the_network() -> None:
    network = nn.Linear(2, 2)
    with torch.no_grad(), watched_activations(nn.ModuleDict({"model": network})) as calls:
        network(torch.randn(3, 2)).softmax(1).relu()
    assert not calls


def test_hooks_are_removed_also_after_an_error_and_nothing_is_changed() -> None:
    network = Mixed()
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(RuntimeError), watched_activations(nn.ModuleDict({"model": network})):
        network.eval()(torch.randn(5, 2, 4, 4))
    for module in network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_without_its_last_activation_a_network_puts_out_what_that_was_given() -> None:
    network = Mixed().eval()
    inputs = torch.randn(5, 1, 4, 4)
    chances = network(inputs)
    bare(network)
    scores = network(inputs)
    assert torch.allclose(scores.softmax(1), chances, atol=1e-6)
    assert not torch.allclose(scores, chances)
    scores.sum().backward()
    assert network.third.weight.grad is not None


def test_a_network_without_an_activation_at_its_end_stays_as_it_is() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    inputs = torch.randn(3, 2)
    before = network(inputs)
    bare(network)
    assert torch.equal(network(inputs), before)
