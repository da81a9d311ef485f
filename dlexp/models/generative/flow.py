"""Normalizing flows of couplings: an invertible network whose density is exact.

Source: L. Dinh, J. Sohl-Dickstein, S. Bengio, "Density estimation using Real NVP", ICLR 2017; splines: see `spline`.

Symbols: B batch, D numbers of a sample once flattened, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from math import log, pi, prod
from typing import cast

import torch
from torch import Tensor, nn

from dlexp.models.generative.spline import spline
from dlexp.models.layers import activation as activation_of
from dlexp.runtime.seed import generator

__all__ = ["flow"]

_EDGE = 0.05  # pixels in [0, 1] are moved into [edge / 2, 1 - edge / 2] before the logit


class Invertible(nn.Module, ABC):
    """An invertible map of the D numbers of a sample, which may depend on weights of classes."""

    @abstractmethod
    def forward(self, x: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, D), (B, C) -> (B, D) and log |det| of the Jacobian (B,)."""

    @abstractmethod
    def inverse(self, y: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, D), (B, C) -> (B, D)."""


class Coupling(Invertible):
    """Half of the numbers is changed, number by number, by functions of the other half, which the inverse has too.

    With `bins` = 0, y = x exp(s) + t, where s is bounded by a learned factor times tanh, so that no step explodes at
    the start; else y is a monotone spline of x with that many bins. A new coupling is the identity.

    Args:
        stays: (D,) bool: the numbers that stay and are read.
        hidden: Units of the hidden layers of the network of these functions.
        activation: Name of its activation.
        num_classes: C, 0 for none: weights of classes are read too.
        bins: Bins of the splines, 0 for none.
    """

    stays: Tensor

    def __init__(self, stays: Tensor, hidden: Sequence[int], activation: str, num_classes: int, bins: int = 0) -> None:
        super().__init__()
        self.register_buffer("stays", stays)
        size, self.bins = len(stays), bins
        self.each = 3 * bins - 1 if bins else 2  # numbers that each number's function has
        widths = [size + num_classes, *hidden]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), activation_of(activation)]
        last = nn.Linear(widths[-1], self.each * size)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(*layers, last)
        if not bins:
            self.bound = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, D), (B, C) -> (B, D) and log |det| (B,)."""
        functions = self._functions(x, classes)
        if self.bins:
            changed, log_slope = spline(x, functions)
        else:
            log_slope = torch.tanh(functions[..., 0]) * self.bound
            changed = x * log_slope.exp() + functions[..., 1]
        return torch.where(self.stays, x, changed), (log_slope * ~self.stays).sum(1)

    def inverse(self, y: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, D), (B, C) -> (B, D)."""
        functions = self._functions(y, classes)
        if self.bins:
            changed, _ = spline(y, functions, inverse=True)
        else:
            changed = (y - functions[..., 1]) * (-torch.tanh(functions[..., 0]) * self.bound).exp()
        return torch.where(self.stays, y, changed)

    def _functions(self, x: Tensor, classes: Tensor | None) -> Tensor:
        """(B, D, numbers of each function), made of the numbers that stay."""
        read = x * self.stays
        found = self.net(read if classes is None else torch.cat([read, classes], 1))
        return cast(Tensor, found.unflatten(1, (-1, self.each)))


class ElementwiseAffine(Invertible):
    """A learned scale and shift of each number, which starts as the identity."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_scale, self.shift = (nn.Parameter(torch.zeros(size)) for _ in range(2))

    def forward(self, x: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, D) -> (B, D) and log |det| (B,)."""
        return x * self.log_scale.exp() + self.shift, self.log_scale.sum().expand(x.shape[0])

    def inverse(self, y: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, D) -> (B, D)."""
        return (y - self.shift) * (-self.log_scale).exp()


class Pixels(nn.Module):
    """Pixels in [0, 1] of evenly spaced levels, spread over their steps and by the logit over all real numbers.

    Args:
        levels: L, how many values a pixel can have; None for continuous ones.
    """

    def __init__(self, levels: int | None) -> None:
        super().__init__()
        self.levels = levels

    def spread(self, x: Tensor, places: Tensor) -> Tensor:
        """(B, D) in [0, 1] -> (B, D) in [0, 1], each level at `places` in [0, 1) of its step (dequantization)."""
        return x if self.levels is None else (x * (self.levels - 1) + places) / self.levels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) in [0, 1] -> (B, D) and log |det| (B,)."""
        inner = _EDGE / 2 + (1 - _EDGE) * x
        return torch.logit(inner), (log(1 - _EDGE) - inner.log() - torch.log1p(-inner)).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        """(B, D) -> (B, D) in [0, 1]; spread levels are put back on theirs."""
        x = ((torch.sigmoid(y) - _EDGE / 2) / (1 - _EDGE)).clamp(0, 1)
        return x if self.levels is None else (x * self.levels).floor().clamp(max=self.levels - 1) / (self.levels - 1)


class Flow(nn.Module):
    """Invertible steps between samples and standard normal noise.

    Args:
        shape: Shape of a sample.
        steps: Coupling and ElementwiseAffine modules, from the sample to the noise.
        pixels: What precedes them for images, None for tables.
        num_classes: C of a conditional flow, else 0.
    """

    def __init__(
        self, shape: tuple[int, ...], steps: Sequence[Invertible], pixels: Pixels | None, num_classes: int
    ) -> None:
        super().__init__()
        self.shape, self.num_classes, self.pixels = shape, num_classes, pixels
        self.steps = nn.ModuleList(steps)

    def forward(self, inputs: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, *shape), weights of classes (B, C) -> log density (B,) in nats, levels at the middle of their steps."""
        return self.log_density(inputs, torch.full_like(inputs, 0.5), classes)

    def log_density(self, inputs: Tensor, places: Tensor, classes: Tensor | None = None) -> Tensor:
        """Log density (B,) in nats: of images on [0, 1]^D, each level at `places` (B, *shape) in [0, 1) of its step."""
        noise, log_det = self.to_noise(inputs, places, classes)
        return log_det - 0.5 * (noise.square() + log(2 * pi)).sum(1)

    def to_noise(self, inputs: Tensor, places: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *shape) -> noise (B, D) and log |det| (B,) of the map to it."""
        x = inputs.flatten(1)
        total = x.new_zeros(x.shape[0])  # len() would fix the batch size of an export
        if self.pixels is not None:
            x, total = self.pixels(self.pixels.spread(x, places.flatten(1)))
        for step in self.steps:
            x, log_det = step(x, classes)
            total = total + log_det
        return x, total

    def from_noise(self, noise: Tensor, classes: Tensor | None = None) -> Tensor:
        """Noise (N, D) -> samples (N, *shape)."""
        x = noise
        for step in reversed(list(self.steps)):
            x = cast(Invertible, step).inverse(x, classes)
        found = x if self.pixels is None else self.pixels.inverse(x)
        return found.reshape(-1, *self.shape)


def flow(
    *,
    input_shape: tuple[int, ...],
    num_classes: int = 0,
    levels: int | None = None,
    couplings: int = 6,
    hidden: Sequence[int] = (64, 64),
    activation: str = "silu",
    bins: int | None = 8,
    conditional: bool = False,
) -> Flow:
    """RealNVP: (B, *input_shape) -> log density (B,), and noise (N, D) back to samples.

    The halves of consecutive couplings change places; every pair of them divides the numbers anew, evenly for images
    in a checkerboard first. What divides them is a function of D alone.

    Args:
        input_shape: Shape of a sample.
        num_classes: C of the data, 0 without classes.
        levels: How many values a pixel can have, None for any.
        couplings: Number of coupling layers.
        hidden: Units of the hidden layers of each coupling.
        activation: Name of their activation.
        bins: Bins of the splines of a coupling, None for affine couplings.
        conditional: Whether the density is that of a sample given its class.

    Raises ValueError for samples of one number, and for classes that the data does not have.
    """
    size = prod(input_shape)
    if size < 2:
        raise ValueError("a flow of couplings requires samples of at least 2 numbers. Use data with more columns.")
    if conditional and not num_classes:
        raise ValueError("model.conditional=true requires data with classes. Set model.conditional=false")
    known, is_image = num_classes if conditional else 0, len(input_shape) == 3
    steps: list[Invertible] = []
    for number in range(couplings):
        half = _half(input_shape if is_image else (size,), number // 2)
        steps += [
            ElementwiseAffine(size),
            Coupling(half if number % 2 else ~half, hidden, activation, known, bins or 0),
        ]
    return Flow(tuple(input_shape), [*steps, ElementwiseAffine(size)], Pixels(levels) if is_image else None, known)


def _half(shape: tuple[int, ...], number: int) -> Tensor:
    """(D,) bool, true for half of the numbers: the even places, or even pixels, and others for each `number`."""
    size = prod(shape)
    if number == 0:
        places = torch.stack(torch.meshgrid(*map(torch.arange, shape), indexing="ij")).sum(0).flatten()
        return places % 2 == 0
    order = torch.randperm(size, generator=generator(number, "halves"))
    return torch.zeros(size, dtype=torch.bool).index_fill(0, order[: size // 2], True)
