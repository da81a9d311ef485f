"""Encoders of images and tables to a vector, and decoders back: fully connected, or convolutional.

Symbols: B batch, F features, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.models.layers import activation as activation_of
from dlexp.models.layers import image_shape

DENSE, CONVOLUTIONAL, AUTO = "dense", "convolutional", "auto"
_SMALLEST = 16  # pixels of a side from which on `auto` convolves images, as in GANs


@dataclass(frozen=True)
class CoderSizes:
    """Layers of an encoder; its decoder has them in reverse.

    Attributes:
        layer_kind: dense, convolutional, or auto: convolutional for images of 16 pixels and more.
        hidden: Units of the hidden layers of a dense one.
        channels: Of the convolutions of a convolutional one, each of which halves height and width.
        activation: Name of the activation.
    """

    layer_kind: str = AUTO
    hidden: Sequence[int] = (256,)
    channels: Sequence[int] = (32, 64)
    activation: str = "relu"

    def is_convolutional(self, input_shape: tuple[int, ...]) -> bool:
        """Whether samples of this shape are convolved. Raises ValueError for an unknown kind."""
        if self.layer_kind not in (AUTO, DENSE, CONVOLUTIONAL):
            raise ValueError(f"unknown layer_kind={self.layer_kind!r}; available: auto, dense, convolutional")
        if self.layer_kind != AUTO:
            return self.layer_kind == CONVOLUTIONAL
        return len(input_shape) == 3 and min(input_shape[1:]) >= _SMALLEST


class Encoder(nn.Module):
    """(B, *input_shape), and more numbers (B, M) of each sample -> (B, outputs).

    Args:
        input_shape: Shape of a sample.
        outputs: Numbers of each sample that it puts out.
        sizes: Its layers.
        more: M, numbers that come behind the features, such as the weights of the classes.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int, sizes: CoderSizes, more: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = [prod(input_shape) + more, *sizes.hidden, outputs]
        if sizes.is_convolutional(input_shape):
            channels, height, width = image_shape("a convolutional encoder", input_shape)
            for fan_in, fan_out in pairwise([channels, *sizes.channels]):
                layers += [nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1), activation_of(sizes.activation)]
            height, width = _halved(input_shape, len(sizes.channels))[-1]
            widths = [(sizes.channels[-1] if sizes.channels else channels) * height * width + more, outputs]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = dense(widths, sizes.activation)

    def forward(self, inputs: Tensor, more: Tensor | None = None) -> Tensor:
        """(B, *input_shape), (B, M) -> (B, outputs)."""
        features: Tensor = self.features(inputs)
        found: Tensor = self.head(features if more is None else torch.cat([features, more.to(features.dtype)], dim=1))
        return found


class Decoder(nn.Sequential):
    """(B, inputs) -> (B, *output_shape); layers as in `Encoder`, in reverse.

    A convolutional one enlarges by repeating pixels before it convolves, since transposed convolutions draw
    checkerboards (Odena et al. 2016), and to the sizes that the encoder had, so that odd sides come out.

    Args:
        inputs: Numbers of each sample that it takes.
        output_shape: Shape of a sample.
        sizes: Its layers.
    """

    def __init__(self, inputs: int, output_shape: tuple[int, ...], sizes: CoderSizes) -> None:
        if not sizes.is_convolutional(output_shape):
            widths = [inputs, *reversed(sizes.hidden), prod(output_shape)]
            super().__init__(dense(widths, sizes.activation), nn.Unflatten(1, output_shape))
            return
        channels, *_ = image_shape("a convolutional decoder", output_shape)
        first = sizes.channels[-1] if sizes.channels else channels
        *larger, (height, width) = _halved(output_shape, len(sizes.channels))
        layers: list[nn.Module] = [nn.Linear(inputs, first * height * width), nn.Unflatten(1, (first, height, width))]
        for (fan_in, fan_out), size in zip(
            pairwise([*reversed(sizes.channels), channels]), reversed(larger), strict=True
        ):
            layers += [activation_of(sizes.activation), Enlarge(size), nn.Conv2d(fan_in, fan_out, 3, padding=1)]
        super().__init__(*layers)


class Enlarge(nn.Module):
    """Images of another size by the nearest pixel: (B, C, h, w) -> (B, C, H, W)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, H, W)."""
        return F.interpolate(inputs, size=self.size)


def dense(widths: Sequence[int], activation: str) -> nn.Sequential:
    """Fully connected layers, (B, widths[0]) -> (B, widths[-1]), with activations between them."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), activation_of(activation)]
    return nn.Sequential(*layers[:-1])


def _halved(shape: tuple[int, ...], times: int) -> list[tuple[int, int]]:
    """Height and width, and after each convolution of stride 2: halves, rounded up."""
    sizes = [(shape[1], shape[2])]
    for _ in range(times):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes
