"""Layers as the product of two of a smaller rank, by singular values (Denton et al. 2014, arXiv:1404.0736).

Symbols: I inputs and O outputs of a layer, K the numbers of a kernel, R the rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlexp.compression.layers import has_ranks, largest_rank, replace_module, two_layers

_LEAST_SHARE = 0.01  # of the parameters of the network; smaller layers are left as they are
_READS_WEIGHTS = ("torch.nn.modules.activation", "torch.nn.modules.transformer")  # of layers in them, without a call


@dataclass(frozen=True)
class RankChoice:
    """How the rank of a layer is chosen.

    Attributes:
        share: In (0, 1).
        by: size: the two layers have at most this share of its weights; energy: the squares of the singular values
            that stay are at least this share of all.
    """

    share: float
    by: str = "size"

    def rank(self, values: Tensor, inputs: int, outputs: int) -> int:
        """The rank of a layer with these singular values, in falling order, and inputs (I * K) and outputs."""
        if self.by == "size":
            return max(1, int(self.share * inputs * outputs / (inputs + outputs)))
        energy = values.double().square().cumsum(0)
        return min(len(values), int((energy < self.share * energy[-1]).sum()) + 1)


def candidates(network: nn.Module) -> Iterator[str]:
    """The layers that two of a smaller rank can replace: all that are large enough, but the last."""
    total, last = sum(p.numel() for p in network.parameters()), None
    uses: dict[int, int] = {}
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    found = []
    for name, layer in network.named_modules():
        if has_ranks(layer):
            last = name
            holder = type(network.get_submodule(name.rpartition(".")[0])).__module__
            weight = layer.weight
            assert isinstance(weight, Tensor)
            is_large = weight.numel() >= _LEAST_SHARE * total
            if is_large and uses[id(weight)] == 1 and holder not in _READS_WEIGHTS:
                found.append(name)
    return iter([name for name in found if name != last])


def lower_ranks(network: nn.Module, choice: RankChoice) -> dict[str, int]:
    """Replace layers of a network by two of a smaller rank, in place, where these have fewer weights.

    Returns:
        Layer -> rank, in the order of replacement.
    """
    found = {}
    for name in list(candidates(network)):
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
        outputs, inputs = layer.weight.shape[0], layer.weight[0].numel()
        left, values, right = torch.linalg.svd(layer.weight.detach().double().flatten(1), full_matrices=False)
        rank = choice.rank(values, inputs, outputs)
        if rank * (inputs + outputs) >= inputs * outputs or rank > largest_rank(layer):
            continue
        made, roots = two_layers(layer, rank), values[:rank].sqrt()
        with torch.no_grad():
            first, second = made[0].weight, made[1].weight
            assert isinstance(first, Tensor) and isinstance(second, Tensor)
            first.copy_((roots[:, None] * right[:rank]).view_as(first))
            second.copy_((left[:, :rank] * roots).view_as(second))
            if layer.bias is not None:
                made[1].bias.copy_(layer.bias)  # type: ignore[operator]
        replace_module(network, name, made)
        found[name] = rank
    return found
