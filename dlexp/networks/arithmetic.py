"""Multiply-adds of a network by type of layer, counted in one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn

_SMALL_MAP = 16  # positions of an output, 4x4


@dataclass
class Arithmetic:
    """Multiply-adds of convolutions, dense and recurrent layers that were called, summed over the samples of the pass.

    total         of all these layers
    convolutions  of the convolutions
    depthwise     of convolutions with one input channel per kernel
    small         of 2-d kernels larger than 1x1 with outputs smaller than 4x4
    samples       number of samples in the pass
    """

    total: int = 0
    convolutions: int = 0
    depthwise: int = 0
    small: int = 0
    samples: int = 1

    def share(self, part: int) -> float:
        """`part` of the total, in [0, 1]."""
        return part / max(1, self.total)

    @property
    def per_sample(self) -> float:
        """Multiply-adds of one sample."""
        return self.total / max(1, self.samples)

    def add(self, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        """Add the multiply-adds of one call of a layer; of a recurrent one, `output` is that of each step."""
        if isinstance(module, nn.RNNBase):
            self.samples = max(self.samples, output.shape[0 if module.batch_first else 1])
            matrices = sum(weight.numel() for weight in module.parameters() if weight.ndim == 2)
            self.total += prod(output.shape[:2]) * matrices
            return
        weight = module.weight
        assert isinstance(weight, Tensor)
        self.samples = max(self.samples, len(output))
        if isinstance(module, nn.Linear):
            self.total += output.numel() // module.out_features * weight.numel()
            return
        assert isinstance(module, nn.modules.conv._ConvNd)
        # Every weight is used at each position: of the input in a transposed convolution, of the output otherwise.
        positions = prod((inputs if module.transposed else output).shape[2:])
        count = len(output) * positions * weight.numel()
        self.total += count
        self.convolutions += count
        if module.groups > 1 and module.groups == module.in_channels:
            self.depthwise += count
        elif isinstance(module, nn.Conv2d) and positions < _SMALL_MAP and prod(module.kernel_size) > 1:
            self.small += count


@contextmanager
def counted_arithmetic(networks: nn.Module) -> Iterator[Arithmetic]:
    """Count the multiply-adds of the layers of `networks` during the body."""
    found = Arithmetic()

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        output = output[0] if isinstance(module, nn.RNNBase) else output
        if isinstance(output, Tensor) and inputs and isinstance(inputs[0], Tensor):
            found.add(module, inputs[0], output)

    layers = [m for m in networks.modules() if isinstance(m, nn.Linear | nn.RNNBase | nn.modules.conv._ConvNd)]
    handles = [layer.register_forward_hook(note) for layer in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
