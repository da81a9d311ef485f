"""Chains of plain layers as products of matrices: the outputs, gradients and statistics of each network alone."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from dlexp.engine.stacking.network import StackedNetwork
from dlexp.engine.stacking.plain_layers import PlainLayers

MEMBERS, SAMPLES = 3, 7


def chain(*more: nn.Module, bias: bool = True) -> nn.Sequential:
    layers = (nn.Flatten(), nn.Linear(6, 5, bias=bias), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 4), *more)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_outputs_gradients_and_statistics_are_those_alone(is_training: bool, bias: bool) -> None:
    torch.manual_seed(0)
    alone = [chain(nn.Sequential(nn.SiLU(), nn.BatchNorm1d(4, affine=False)), bias=bias) for _ in range(MEMBERS)]
    members = deepcopy(alone)
    for network in (*alone, *members):
        network.train(is_training)
    stack = StackedNetwork(members)
    stack.bind()
    inputs, wanted = torch.randn(MEMBERS, SAMPLES, 2, 3), torch.randn(SAMPLES, 4)
    assert PlainLayers.of(members[0]) is not None
    outputs = stack(inputs, [])
    (outputs * wanted).sum().backward()
    stack.hand_out_gradients()
    for network, member, given, found in zip(alone, members, inputs, outputs, strict=True):
        expected = network(given)
        (expected * wanted).sum().backward()
        torch.testing.assert_close(found, expected)
        for (name, one), other in zip(network.named_parameters(), member.parameters(), strict=True):
            torch.testing.assert_close(other.grad, one.grad, msg=name, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(dict(member.named_buffers()), dict(network.named_buffers()))


def test_dropout_multiplies_by_the_masks_in_their_order() -> None:
    layers = PlainLayers.of(nn.Sequential(nn.Dropout(0.5), nn.ReLU(), nn.Dropout(0.3)))
    assert layers is not None
    masks = [torch.full((2, 3, 4), 2.0), torch.full((2, 3, 4), 5.0)]
    values = torch.rand(2, 3, 4)
    torch.testing.assert_close(layers(values, {}, masks), values * 10)


class _Twice(nn.Linear):
    def forward(self, inputs: Tensor) -> Tensor:
        return 2 * super().forward(inputs)


@pytest.mark.parametrize(
    "layer", [_Twice(4, 4), nn.BatchNorm1d(4, momentum=None), nn.Flatten(2), nn.Unflatten(1, (2, 2)), nn.PReLU()]
)
def test_a_layer_of_another_kind_is_left_to_vmap(layer: nn.Module) -> None:
    assert PlainLayers.of(chain(layer)) is None


def test_a_layer_that_something_watches_is_left_to_vmap() -> None:
    network = chain()
    network[1].register_forward_hook(lambda *_: None)
    assert PlainLayers.of(network) is None
