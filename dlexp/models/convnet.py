"""Small convolutional networks.

Symbols: B batch, C channels, H and W height and width in pixels, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from dlexp.models.initialization import initialized
from dlexp.models.layers import (
    SqueezeExcitation,
    image_shape,
    norm_2d,
    place_norm,
    refuse_alpha_without_selu,
    refuse_one_pixel,
)
from dlexp.models.layers import activation as activation_of
from dlexp.models.layers import dropout as dropout_of

__all__ = ["block_cnn", "simple_cnn"]


def simple_cnn(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    channels: Sequence[int] = (32, 64, 128),
    fc: int = 512,
    activation: str = "relu",
    norm: str = "none",
    norm_place: str = "before",
    pool: str = "max",
    dropout: float = 0.5,
    conv_dropout: float = 0.0,
    init: str = "default",
) -> nn.Sequential:
    """3x3 convolutions with 2x2 pooling, then one hidden layer: (B, C, H, W) -> (B, O).

    1,147,466 parameters for (3, 32, 32) and ten classes. Feature maps of one pixel are not pooled further, so that
    images of any size are supported.

    Args:
        channels: Output channels of each block (convolution, normalization, activation, pooling).
        fc: Units of the hidden layer.
        norm_place: Position of the normalization: before or after the activation.
        pool: max or average, 2x2.
        dropout: Probability in [0, 1) that a unit of the hidden layer is zeroed in training.
        conv_dropout: Probability in [0, 1) that a feature map is zeroed after each block in training.
        init: Initialization, as in dlexp.models.initialization.
    """
    if pool not in ("max", "average"):
        raise ValueError(f"unknown pool={pool!r}; available: max, average")
    in_channels, height, width = image_shape("simple_cnn", input_shape)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([in_channels, *channels]):
        refuse_one_pixel(norm, height, width)
        layers += [nn.Conv2d(fan_in, fan_out, 3, padding=1)]
        layers += place_norm(norm_place, norm_2d(norm, fan_out), activation_of(activation))
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2))
            height, width = height // 2, width // 2
        layers += dropout_of("channel", conv_dropout)
    last = channels[-1] if channels else in_channels
    head: list[nn.Module] = [nn.Flatten(), nn.Linear(last * height * width, fc), activation_of(activation)]
    head += dropout_of("unit", dropout)
    return initialized(nn.Sequential(*layers, *head, nn.Linear(fc, num_outputs)), init, activation, norm)


def block_cnn(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    channels: Sequence[int] = (64, 128, 256),
    convs: int = 2,
    fc: int = 512,
    activation: str = "relu",
    norm: str = "batch",
    norm_place: str = "before",
    se_reduction: int | None = None,
    dropout: float = 0.5,
    dropout_kind: str = "unit",
    pool_dropout: float = 0.0,
    conv_dropout: float = 0.0,
    init: str = "default",
) -> nn.Sequential:
    """Blocks of 3x3 convolutions, global average pooling, one hidden layer: (B, C, H, W) -> (B, O).

    Each block ends with 2x2 max pooling. Convolutions before a normalization have no bias, which would have no effect.
    Images of any size are supported.

    Args:
        channels: Output channels of each block.
        convs: Convolutions of each block, each with normalization and activation.
        fc: Units of the hidden layer.
        norm_place: Position of the normalization: before or after the activation.
        se_reduction: Divisor of the channels that gives the hidden units of squeeze-and-excitation in each block; None:
            no squeeze-and-excitation.
        dropout: Probability in [0, 1) that a unit of the hidden layer is zeroed in training.
        dropout_kind: Kind of dropout: unit, or alpha with activation=selu and norm=none.
        pool_dropout: Probability in [0, 1) that an input of the hidden layer is zeroed in training.
        conv_dropout: Probability in [0, 1) that a feature map is zeroed after each block in training.
        init: Initialization, as in dlexp.models.initialization.
    """
    if dropout_kind == "channel":
        raise ValueError("dropout_kind='channel' is not supported. Use conv_dropout.")
    refuse_alpha_without_selu(dropout_kind, activation, norm)
    in_channels, height, width = image_shape("block_cnn", input_shape)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([in_channels, *channels]):
        refuse_one_pixel(norm, height, width)
        for number in range(convs):
            layers += [nn.Conv2d(fan_in if number == 0 else fan_out, fan_out, 3, padding=1, bias=norm == "none")]
            layers += place_norm(norm_place, norm_2d(norm, fan_out), activation_of(activation))
        if se_reduction is not None:
            layers.append(SqueezeExcitation(fan_out, se_reduction, bias=False))
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        layers += dropout_of("channel", conv_dropout)
    last = channels[-1] if channels else in_channels
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *dropout_of(dropout_kind, pool_dropout)]
    layers += [nn.Linear(last, fc), activation_of(activation), *dropout_of(dropout_kind, dropout)]
    return initialized(nn.Sequential(*layers, nn.Linear(fc, num_outputs)), init, activation, norm)
