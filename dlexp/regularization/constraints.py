"""A limit that weights keep after every update.

Symbols: U units of a layer, I weights into each of them.
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
    """The weights into a unit, (U, I) for each layer, have a norm of `limit` at most; a longer one is scaled down.

    So weights cannot grow without end, whatever the learning rate (Srivastava et al. 2014, section 5.1). Biases,
    normalisation layers and weights that are not trained are left alone.
    """

    limit: float

    def __call__(self, networks: Iterable[nn.Module]) -> None:
        """Change the weights in place."""
        with torch.no_grad():
            for weight, dimension in _weights(networks):
                weight.renorm_(2, dimension, self.limit)


def _weights(networks: Iterable[nn.Module]) -> Iterator[tuple[Tensor, int]]:
    """(weight of two or more dimensions, the one of its units)."""
    for network in networks:
        for module in network.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.ndim >= 2 and parameter.requires_grad and "bias" not in name:
                    yield parameter, 1 if isinstance(module, _TRANSPOSED) else 0
