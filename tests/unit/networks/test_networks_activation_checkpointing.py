from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from refusals import refused
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from dlexp.errors import ConfigError
from dlexp.models.convnet import simple_cnn
from dlexp.models.mlp import mlp
from dlexp.models.resnet import resnet18
from dlexp.networks.activation_checkpointing import recompute_activations
from dlexp.runtime.seed import seed_step

IMAGES: dict[str, Any] = {"input_shape": (1, 8, 8), "num_outputs": 3}


class Block(nn.Module):
    """A residual block with everything that a second forward pass could get wrong."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.dense, self.norm, self.drop, self.calls = nn.Linear(6, 6), norm, nn.Dropout(0.5), 0

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        self.calls += 1
        y: Tensor = x + scale * self.drop(torch.relu(self.norm(self.dense(x))))
        return y


class Tower(nn.Module):
    def __init__(self, *blocks: Block) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, scale=0.5)
        return x


def tower() -> Tower:
    return Tower(
        Block(nn.BatchNorm1d(6)), Block(nn.BatchNorm1d(6, momentum=None)), Block(nn.BatchNorm1d(6, affine=False))
    )


def images() -> Tensor:
    return torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def rows() -> Tensor:
    return torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor], int]] = {
    "resnet18": (lambda: resnet18(**IMAGES), images, 8),
    "simple_cnn": (lambda: simple_cnn(**IMAGES, channels=(4, 4), fc=8, norm="batch", dropout=0.5), images, 4),
    "mlp": (lambda: mlp(input_shape=(6,), num_outputs=3, hidden=(8, 8), norm="batch", dropout=0.3), rows, 3),
    "tower": (tower, rows, 3),
}


def three_steps(network: nn.Module, inputs: Tensor, autocast: bool = False) -> dict[str, Tensor]:
    """Weights, buffers and last gradients after three steps of SGD, dropout seeded as the engine does it."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for number in range(3):
        optimizer.zero_grad()
        seed_step(number)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = network(inputs).square().mean()
        loss.backward()
        optimizer.step()
    drawn = {"the next random number": torch.rand(1)}
    gradients = {f"{name}.grad": p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {**network.state_dict(), **gradients, **drawn}


def recomputed(network: nn.Module) -> tuple[nn.ModuleDict, int]:
    networks = nn.ModuleDict({"model": network})
    return networks, recompute_activations(networks)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_gradients_and_statistics_have_the_bits_of_a_network_that_keeps_everything(name: str, autocast: bool) -> None:
    build, inputs, count = CASES[name]
    seed_step(7)
    plain = build()
    network = copy.deepcopy(plain)
    names = list(network.state_dict())
    _, found = recomputed(network)
    assert found == count
    assert list(network.state_dict()) == names
    expected, got = three_steps(plain, inputs(), autocast), three_steps(network, inputs(), autocast)
    assert expected.keys() == got.keys()
    assert [key for key in expected if not torch.equal(expected[key], got[key])] == []


def test_blocks_run_twice_in_training_and_once_without_a_gradient() -> None:
    network = tower()
    recomputed(network)
    with torch.no_grad():
        network(rows())
    assert [block.calls for block in network.blocks] == [1, 1, 1]
    network(rows()).sum().backward()
    assert [block.calls for block in network.blocks] == [3, 3, 3]


def test_a_copy_recomputes_with_its_own_weights() -> None:
    for build, inputs, _ in (CASES["tower"], CASES["simple_cnn"]):
        network = build().eval()
        recomputed(network)
        twin = copy.deepcopy(network)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.zero_()
        ours, its = network(inputs()), twin(inputs())
        assert not torch.equal(ours, its)
        ours.sum().backward()
        assert all(parameter.grad is None for parameter in twin.parameters())


def test_fewer_activations_are_kept() -> None:
    def kept(network: nn.Module) -> int:
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = network(inputs)
        del output
        weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
        return sum(size for address, size in sizes.items() if address not in weights)

    inputs = torch.randn(16, 1, 8, 8)
    plain = resnet18(**IMAGES)
    network = copy.deepcopy(plain)
    recomputed(network)
    assert kept(network) < 0.4 * kept(plain)


def test_a_network_without_blocks_is_refused() -> None:
    for network in (nn.Linear(3, 3), nn.LSTM(3, 3), nn.Sequential(nn.Flatten(), nn.Linear(3, 3))):
        with pytest.raises(ConfigError) as caught:
            recomputed(network)
        refused(caught.value, "not-supported", "trainer.checkpoint_activations", "data.batch_size")


@pytest.mark.filterwarnings("ignore:.*torch.nn.utils.weight_norm.*:FutureWarning")
def test_what_changes_with_each_forward_pass_is_refused() -> None:
    normed: list[nn.Module] = [spectral_norm(nn.Linear(3, 3)), nn.utils.spectral_norm(nn.Linear(3, 3))]
    for layer in normed:
        with pytest.raises(ConfigError) as caught:
            recomputed(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), layer))
        refused(caught.value, "not-supported", "trainer.checkpoint_activations")
        assert "spectral" in str(caught.value)
