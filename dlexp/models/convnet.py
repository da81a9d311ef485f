"""Small convolutional networks.

Symbols: B batch, C channels, H and W height and width in pixels, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from dlexp.models.layers import norm_2d

__all__ = ["simple_cnn"]


def simple_cnn(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    channels: Sequence[int] = (32, 64, 128),
    fc: int = 512,
    norm: str = "none",
    dropout: float = 0.5,
) -> nn.Sequential:
    """3x3 convolutions with 2x2 max pooling, then one hidden layer: (B, C, H, W) -> (B, O).

    1,147,466 parameters for (3, 32, 32) and ten classes. A map of one pixel is not pooled further, so that images down
    to 1x1 pass.

    channels  output channels of each block (convolution, normalisation, ReLU, pooling)
    fc        units of the hidden layer
    dropout   chance in [0, 1) that a unit of the hidden layer is zeroed while training
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"simple_cnn reads images (channels, height, width), and a sample here has shape {input_shape}"
        )
    in_channels, height, width = input_shape
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([in_channels, *channels]):
        layers += [nn.Conv2d(fan_in, fan_out, 3, padding=1), *norm_2d(norm, fan_out), nn.ReLU()]
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    last = channels[-1] if channels else in_channels
    head: list[nn.Module] = [nn.Flatten(), nn.Linear(last * height * width, fc), nn.ReLU()]
    head += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, *head, nn.Linear(fc, num_outputs))
