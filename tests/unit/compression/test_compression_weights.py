"""Weights set to zero by their magnitude, and layers of a smaller rank."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dlexp.compression.low_rank import RankChoice, lower_ranks
from dlexp.compression.magnitude import Sparsity, prunable_weights, sparsity_of, zero_smallest


def test_the_smallest_weights_become_zero_in_each_layer_or_in_all() -> None:
    small, large = torch.tensor([[0.1, -0.2], [0.3, -0.4]]), torch.tensor([[1.0, -2.0], [3.0, -4.0]])
    by_layer, by_all = (small.clone(), large.clone()), (small.clone(), large.clone())
    zero_smallest(by_layer, 0.5, "layer")
    zero_smallest(by_all, 0.5, "global")
    assert [w.flatten().tolist() for w in by_layer] == [
        [0, 0, pytest.approx(0.3), pytest.approx(-0.4)],
        [0, 0, 3, -4],
    ]
    assert by_all[0].abs().sum() == 0
    assert torch.equal(by_all[1], large)


def test_of_equal_weights_as_many_go_as_asked() -> None:
    weights = [torch.ones(10)]
    zero_smallest(weights, 0.3, "layer")
    assert weights[0].tolist() == [0.0] * 3 + [1.0] * 7


def test_zeros_stay_among_the_smallest() -> None:
    weights = [torch.randn(6, 7, generator=torch.Generator().manual_seed(1))]
    zero_smallest(weights, 0.25, "global")
    first = weights[0] == 0
    zero_smallest(weights, 0.75, "global")
    assert (weights[0] == 0)[first].all()
    assert sparsity_of(weights) == pytest.approx(0.75, abs=1 / 42)


def test_norms_biases_embeddings_and_frozen_weights_are_left_alone() -> None:
    network = nn.Sequential(nn.Embedding(5, 4), nn.LSTM(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2), nn.Linear(2, 2))
    network[4].weight.requires_grad_(False)
    names = {id(p): name for name, p in network.named_parameters()}
    assert [names[id(p)] for p in prunable_weights([network])] == ["1.weight_ih_l0", "1.weight_hh_l0", "3.weight"]


def test_the_sparsity_grows_as_published_and_ends_where_it_shall() -> None:
    found = Sparsity(0.8, "layer", 20)
    assert [round(found.at(step), 4) for step in (0, 10, 20, 99)] == [0.0, 0.7, 0.8, 0.8]
    assert found.is_due(20)
    assert not found.is_due(21)
    at_once = Sparsity(0.8)
    assert (at_once.is_due(0), at_once.at(0), at_once.is_due(1)) == (True, 0.8, False)
    long = Sparsity(0.8, "layer", 10_000)
    assert sum(long.is_due(step) for step in range(10_001)) == 101


def weights_of_rank(outputs: int, inputs: int, rank: int) -> Tensor:
    source = torch.Generator().manual_seed(2)
    return torch.randn(outputs, rank, generator=source) @ torch.randn(rank, inputs, generator=source)


def test_a_layer_of_a_small_rank_is_found_by_its_energy_and_answers_the_same() -> None:
    first = nn.Linear(40, 30)
    network = nn.Sequential(first, nn.ReLU(), nn.Linear(30, 5))
    with torch.no_grad():
        first.weight.copy_(weights_of_rank(30, 40, 3))
    inputs = torch.randn(8, 40)
    before = network(inputs)
    assert lower_ranks(network, RankChoice(0.999999, "energy")) == {"0": 3}
    assert [tuple(p.shape) for p in network[0].parameters()] == [(3, 40), (30, 3), (30,)]
    torch.testing.assert_close(network(inputs), before, rtol=1e-4, atol=1e-4)


def test_a_convolution_keeps_its_stride_padding_and_bias() -> None:
    first = nn.Conv2d(6, 10, 3, stride=2, padding=1)
    network = nn.Sequential(first, nn.Flatten(), nn.Linear(40, 5))
    with torch.no_grad():
        first.weight.copy_(weights_of_rank(10, 54, 2).view(10, 6, 3, 3))
    images = torch.randn(2, 6, 4, 4)
    before = network(images)
    assert lower_ranks(network, RankChoice(0.3)) == {"0": 2}  # 0.3 * 540 / 64
    torch.testing.assert_close(network(images), before, rtol=1e-4, atol=1e-4)


def test_small_layers_shared_ones_and_the_last_are_left_alone() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.tiny = nn.Linear(20, 20), nn.Linear(20, 20), nn.Linear(2, 2)
            self.two.weight = self.one.weight
            self.attention, self.last = nn.MultiheadAttention(20, 2), nn.Linear(20, 20)

    assert lower_ranks(Tied(), RankChoice(0.5)) == {}
