"""Constraints on weights that are enforced after every update.

Symbols: U units of a layer, I incoming weights of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["MaxNorm"]

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)  # their units are along dimension 1


@dataclass(frozen=True)
class MaxNorm:
    """Max-norm constraint: the incoming weights of a unit, (U, I) for each layer, have a norm of at most `limit`.

    Larger norms are scaled down, which bounds weights at any learning rate (Srivastava et al. 2014, section 5.1).
    Biases, normalization layers and frozen weights are unchanged.

    Attributes:
        limit: Largest Euclidean norm, > 0.
    """

    limit: float

    def __call__(self, networks: Iterable[nn.Module]) -> None:
        """Scale the weights in place."""
        with torch.no_grad():
            for weight, dimension in _weights(networks):
                weight.renorm_(2, dimension, self.limit)


def _weights(networks: Iterable[nn.Module]) -> Iterator[tuple[Tensor, int]]:
    """Yield (weight with two or more dimensions, dimension of its units)."""
    for network in networks:
        for module in network.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.ndim >= 2 and parameter.requires_grad and "bias" not in name:
                    yield parameter, 1 if isinstance(module, _TRANSPOSED) else 0
