from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from dlexp.models.ft_transformer import ft_transformer
from dlexp.models.large_cnns import densenet121, mobilenet_v2
from dlexp.models.resnet import resnet
from dlexp.networks.summary import Layer, summarize_layers


def look(network: nn.Module, *shape: int, device: str = "cpu") -> dict[str, Layer]:
    networks = nn.ModuleDict({"model": network.eval().to(device)})
    inputs = torch.randn(1, *shape, device=device)
    return {
        layer.name.partition(".")[2]: layer
        for layer in summarize_layers(networks, lambda found: found["model"](inputs))
    }


@pytest.mark.parametrize(
    ("make", "options", "multiply_adds"),
    # torchvision's table, in units of 1e6: 1814, 4089, 2834, 301
    [(resnet, {"depth": 18}, 1814), (resnet, {"depth": 50}, 4089), (densenet121, {}, 2834), (mobilenet_v2, {}, 301)],
)
def test_multiply_adds_are_the_published_ones(make: Any, options: dict[str, Any], multiply_adds: int) -> None:
    with torch.device("meta"):
        network = make(input_shape=(3, 224, 224), num_outputs=1000, **options)
    found = look(network, 3, 224, 224, device="meta")
    assert round(sum(layer.multiply_adds for layer in found.values()) / 1e6) == multiply_adds
    assert sum(layer.parameters for layer in found.values()) == sum(p.numel() for p in network.parameters())


def test_a_convolution_and_a_linear_layer_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(2, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(54, 5))
    network[0].requires_grad_(False)
    found = look(network, 2, 5, 5)
    assert [layer.kind for layer in found.values()] == ["Conv2d", "ReLU", "Flatten", "Linear"]
    convolution, relu, flatten, linear = found.values()
    assert (convolution.shape, convolution.parameters, convolution.trainable) == ((1, 6, 3, 3), 6 * 9 + 6, 0)
    assert convolution.multiply_adds == 3 * 3 * 6 * 9
    assert (relu.output_bytes, flatten.output_bytes) == (54 * 4, 0)  # a view takes no memory
    assert (linear.multiply_adds, linear.parameters, linear.output_bytes) == (54 * 5, 54 * 5 + 5, 20)


def test_a_layer_that_is_used_twice_is_held_once_and_works_twice() -> None:
    layer = nn.Linear(4, 4)
    found = look(nn.Sequential(layer, nn.ReLU(), layer), 4)
    assert [(row.parameters, row.multiply_adds) for row in found.values()] == [(20, 32), (0, 0)]


class Shared(nn.Module):
    """Two layers with one weight, a parameter of its own, and a layer that nothing calls."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.unused = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(7, 1)
        self.second.weight = self.first.weight
        self.scale = nn.Parameter(torch.ones(3))
        self.attention = nn.MultiheadAttention(3, 1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.second(self.first(x * self.scale))[:, None].expand(-1, 5, -1)
        mixed: Tensor = self.attention(rows, rows, rows)[0]
        return mixed[:, 0]


def test_parameters_are_counted_once_wherever_they_are_read() -> None:
    network = Shared()
    found = look(network, 3)
    sizes = {name: row.parameters for name, row in found.items()}
    # the output layer of attention is read by attention itself; what nothing calls is inside the whole alone
    assert sizes == {"first": 12, "second": 3, "attention": 36 + 12, "": 3 + 8}
    assert sum(sizes.values()) == sum(p.numel() for p in network.parameters())
    by_hand = 3 * 5 * 9 + 2 * 5 * 5 * 3 + 5 * 9  # queries, keys and values; scores and mixture; output
    assert found["attention"].multiply_adds == by_hand


def test_nothing_stays_behind_on_the_networks() -> None:
    network = nn.Sequential(nn.Linear(3, 3))
    look(network, 3)
    assert not network[0]._forward_hooks
    assert not network[0]._forward_pre_hooks


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_products_between_layers_are_those_of_the_module_around_them(device: str) -> None:
    network = ft_transformer(input_shape=(30,), num_outputs=2)
    found = look(network, 30, device=device)
    assert sum(row.multiply_adds for row in found.values()) == 3_468_224
    tokens, width = 31, 64
    blocks = [row for row in found.values() if row.kind == "Block"]
    assert [row.multiply_adds for row in blocks] == 3 * [2 * tokens * tokens * width]  # scores and mixture
    assert {(row.parameters, row.output_bytes) for row in blocks} == {(0, 0)}
    assert sum(row.parameters for row in found.values()) == sum(p.numel() for p in network.parameters())


def test_a_vision_transformer_computes_as_much_as_is_published() -> None:
    with torch.device("meta"):
        network = torchvision.models.vit_b_16()
    found = look(network, 3, 224, 224, device="meta")
    assert round(sum(row.multiply_adds for row in found.values()) / 1e7) == 1756  # torchvision's table: 17.56 GFLOPS


class Inner(nn.Module):
    """A module without children that calls no layer, inside one that multiplies as well, inside one that does not."""

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, :, None] * x[:, None]) @ x[:, :, None]  # the outer product is elementwise


class Around(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.inner(x)[..., 0] @ x.T
        return mixed


def test_nothing_is_counted_twice() -> None:
    found = look(nn.Sequential(nn.Sequential(Around())), 4)
    assert {name: row.multiply_adds for name, row in found.items()} == {"0.0.inner": 16, "0.0": 4}
