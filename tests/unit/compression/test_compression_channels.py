"""Channels are followed from layer to layer: removed ones leave the outputs alone if they were zero."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dlexp.compression.channels import CannotFollow, channel_graph
from dlexp.compression.layers import apply_structure, structure_between
from dlexp.compression.structure import Structure
from dlexp.compression.structured import remove_channels
from dlexp.models.convnet import block_cnn, simple_cnn
from dlexp.models.layers import ChannelRms
from dlexp.models.mlp import mlp


class Residual(nn.Module):
    """Two blocks whose sum joins three layers, with a gate and a parameter of its own."""

    def __init__(self, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.stem, self.norm0 = nn.Conv2d(3, 8, 3, padding=1), norm(8)
        self.inner, self.norm1 = nn.Conv2d(8, 12, 3, padding=1), norm(12)
        self.back, self.norm2 = nn.Conv2d(12, 8, 1), norm(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.scale = nn.Parameter(torch.rand(8, 1, 1))
        self.head = nn.Linear(8 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm0(self.stem(x)))
        inner = torch.relu(self.norm1(self.inner(x)))
        x = x + self.norm2(self.back(inner)) * self.scale
        pooled = nn.functional.max_pool2d(self.depthwise(x), 2)
        return self.head(torch.flatten(pooled, 1))  # type: ignore[no-any-return]


class Dense(nn.Module):
    """Two branches beside each other."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 6, 1)
        self.norm, self.head = nn.BatchNorm2d(10), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.one(x), self.two(x)], 1)
        return self.head(self.norm(both).relu().mean((2, 3)))  # type: ignore[no-any-return]


IMAGES = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "residual": Residual,
    "group": lambda: Residual(lambda width: nn.GroupNorm(4, width)),
    "dense": Dense,
    "mlp": lambda: mlp(input_shape=(3, 4, 4), num_outputs=5, hidden=(10, 6), norm="layer"),
    "simple": lambda: simple_cnn(input_shape=(3, 4, 4), num_outputs=5, channels=(4, 6), fc=8),
    "gates": lambda: block_cnn(
        input_shape=(3, 4, 4), num_outputs=5, channels=(4, 8), fc=8, se_reduction=2, activation="prelu"
    ),
    "rms": lambda: Residual(ChannelRms),
}


def made(name: str) -> nn.Module:
    torch.manual_seed(3)
    return NETWORKS[name]().eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_half_of_all_channels_go_and_the_structure_makes_the_same_network(name: str) -> None:
    network = made(name)
    before = sum(p.numel() for p in network.parameters())
    graph = channel_graph(network, IMAGES)
    assert [layer for layer, _ in graph.kept_whole()] == graph.makers[-1:]  # the outputs of the network
    assert remove_channels(network, graph, 0.5, "layer", "l2")
    assert sum(p.numel() for p in network.parameters()) < 0.62 * before
    found = structure_between(made(name), network, {})
    again = made(name)
    apply_structure(again, Structure.parse(found.rank_words(), found.width_words()))
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(IMAGES), network(IMAGES))
    copy.deepcopy(again)(IMAGES)


@pytest.mark.parametrize("name", ["residual", "dense"])
def test_channels_that_are_zero_go_first_and_nothing_changes(name: str) -> None:
    network = made(name)
    graph = channel_graph(network, IMAGES)
    with torch.no_grad():
        for axis, makers in graph.removable().items():
            dead = torch.arange(axis.size) % 2 == 0
            for layer, segments in graph.outputs.items():
                if len(segments) == 1 and segments[0][0].root() is axis:
                    for parameter in network.get_submodule(layer).parameters() if layer != "scale" else ():
                        parameter[dead] = 0
            assert makers
        if name == "dense":  # of two layers beside each other
            network.get_submodule("norm").bias[torch.arange(10) % 2 == 0] = 0  # type: ignore[operator]
    before = network(IMAGES)
    remove_channels(network, graph, 0.5, "layer", "l1")
    torch.testing.assert_close(network(IMAGES), before)


def test_layers_whose_outputs_are_added_lose_the_same_channels() -> None:
    network = made("residual")
    joined = channel_graph(network, IMAGES).removable().values()
    assert sorted(map(sorted, joined)) == [["back", "stem"], ["inner"]]


def test_groups_of_a_normalization_keep_as_many_channels_each() -> None:
    network = made("group")
    gone = remove_channels(network, channel_graph(network, IMAGES), 0.4, "layer", "l2")
    assert gone == {"stem": 4, "back": 4, "inner": 4}  # 8 -> 4 of 4 groups, 12 -> 8
    assert network(IMAGES).shape == (3, 5)


def test_global_pruning_compares_all_layers_and_empties_none() -> None:
    network = made("simple")
    with torch.no_grad():
        weight = network.get_submodule("0").weight
        assert isinstance(weight, Tensor)
        weight[1:] *= 1e-3
    gone = remove_channels(network, channel_graph(network, IMAGES), 0.5, "global", "l2")
    assert gone["0"] == 3
    assert all(count < size for count, size in ((gone["3"], 6), (gone["7"], 8)))


def test_what_reads_channels_in_an_unknown_way_is_named() -> None:
    class Sorted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Conv2d(3, 4, 1), nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.first(x).amax((2, 3)).sort(1).values)  # type: ignore[no-any-return]

    graph = channel_graph(Sorted(), IMAGES)
    assert not graph.removable()
    assert "amax" in dict(graph.kept_whole())["first"]


def test_a_layer_that_cannot_be_traced_is_named() -> None:
    class Asks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(CannotFollow, match=r"1 \(Asks\)"):
        channel_graph(nn.Sequential(nn.Conv2d(3, 4, 1), Asks()), IMAGES)


def test_a_narrower_network_from_random_weights_has_outputs_of_the_same_size() -> None:
    network = made("mlp")
    remove_channels(network, channel_graph(network, IMAGES), 0.5, "layer", "l2")
    fresh = nn.Linear(400, 200)
    apply_structure(holder := nn.Sequential(fresh), Structure({}, {"0": (100, 200)}))
    inputs = torch.randn(64, 400)
    wide = torch.nn.functional.linear(inputs, nn.Linear(400, 200).weight)
    assert holder(inputs[:, :100]).std().item() == pytest.approx(wide.std().item(), rel=0.1)


@pytest.mark.parametrize(
    ("ranks", "widths"),
    [({"nothing": 2}, {}), ({"1": 99}, {}), ({"2": 1}, {}), ({}, {"1": (99, 4)}), ({}, {"0": (3,)}), ({}, {"1": (3,)})],
)
def test_a_structure_that_does_not_fit_is_refused(ranks: dict[str, int], widths: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=next(iter({**ranks, **widths}))):
        apply_structure(nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU()), Structure(ranks, widths))


@pytest.mark.parametrize(("ranks", "widths"), [(["a"], []), (["a=0"], []), ([], ["a=3x"]), ([], ["a b=3"])])
def test_words_that_name_no_width_are_refused(ranks: list[str], widths: list[str]) -> None:
    with pytest.raises(ValueError, match=(ranks or widths)[0]):
        Structure.parse(ranks, widths)
