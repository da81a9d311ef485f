"""Networks that enlarge images: convolutions behind bicubic enlargement, or in front of a sub-pixel convolution.

Sources: SRCNN: C. Dong et al., "Learning a deep convolutional network for image super-resolution", ECCV 2014,
arXiv:1501.00092; ESPCN: W. Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
convolutional neural network", CVPR 2016, arXiv:1609.05158; EDSR: B. Lim et al., "Enhanced deep residual networks for
single image super-resolution", CVPR workshops 2017, arXiv:1707.02921. All of them here put out what is added to the
bicubic enlargement, and begin at it.

Symbols: B batch, C channels of the images, K channels of feature maps, H and W height and width in pixels, f the factor
between the resolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.models.layers import activation as activation_of

__all__ = ["bicubic", "edsr", "espcn", "srcnn"]


def bicubic(images: Tensor, factor: int) -> Tensor:
    """(B, C, H, W) -> (B, C, f H, f W)."""
    return F.interpolate(images, scale_factor=factor, mode="bicubic", align_corners=False)


class Enlarger(nn.Module):
    """A bicubic enlargement and what a network adds to it.

    Any height and width may enter, since there are convolutions alone.

    Args:
        body: (B, C, H, W) -> (B, C, f H, f W), or from (B, C, f H, f W) where it is behind the enlargement.
        factor: f.
        is_behind: Whether the network reads the enlarged image.
    """

    def __init__(self, body: nn.Module, factor: int, is_behind: bool = False) -> None:
        super().__init__()
        self.body, self.factor, self.is_behind = body, factor, is_behind

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, f H, f W)."""
        enlarged = bicubic(images, self.factor)
        added: Tensor = self.body(enlarged if self.is_behind else images)
        return enlarged + added


class ResidualBlock(nn.Module):
    """Two convolutions whose output is added to the input, without normalization.

    Args:
        channels: K.
        activation: Name of the activation between the two.
        scale: Factor of what is added.
    """

    def __init__(self, channels: int, activation: str, scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(channels, channels, 3),
            activation_of(activation),
            _conv(channels, channels, 3),
        )
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, H, W) -> the same shape."""
        added: Tensor = self.body(x)
        return x + self.scale * added


def srcnn(
    *,
    input_shape: tuple[int, ...],
    target_shape: tuple[int, ...],
    channels: Sequence[int] = (64, 32),
    kernels: Sequence[int] = (9, 5, 5),
    activation: str = "relu",
) -> nn.Module:
    """Convolutions of the enlarged image: all of the work is done in the high resolution.

    Args:
        input_shape: (C, H, W).
        target_shape: (C, f H, f W).
        channels: K of each convolution but the last.
        kernels: Height and width of each convolution, odd, one more than channels.
        activation: Name of the activation.

    Raises ValueError for shapes without a whole factor, another number of kernels, and an even one.
    """
    factor = _factor(input_shape, target_shape)
    if len(kernels) != len(channels) + 1:
        rule = f"kernels={list(kernels)} must have one more number than channels={list(channels)}"
        raise ValueError(f"{rule}. Set model.kernels to {len(channels) + 1} odd numbers")
    if any(kernel % 2 == 0 for kernel in kernels):
        raise ValueError(f"kernels={list(kernels)} must be odd")
    widths = (input_shape[0], *channels, input_shape[0])
    layers: list[nn.Module] = []
    for (fan_in, fan_out), kernel in zip(pairwise(widths), kernels, strict=True):
        layers += [_conv(fan_in, fan_out, kernel), activation_of(activation)]
    return Enlarger(_begins_at_zero(nn.Sequential(*layers[:-1])), factor, is_behind=True)


def espcn(
    *,
    input_shape: tuple[int, ...],
    target_shape: tuple[int, ...],
    channels: Sequence[int] = (64, 32),
    activation: str = "relu",
) -> nn.Module:
    """Convolutions in the low resolution; the last one has f x f values for each pixel, which become its pixels.

    Args:
        input_shape: (C, H, W).
        target_shape: (C, f H, f W).
        channels: K of each convolution but the last.
        activation: Name of the activation; tanh is published.

    Raises ValueError for shapes without a whole factor.
    """
    factor = _factor(input_shape, target_shape)
    widths = (input_shape[0], *channels)
    layers: list[nn.Module] = []
    for number, (fan_in, fan_out) in enumerate(pairwise(widths)):
        kernel = 3 if number else 5
        layers += [_conv(fan_in, fan_out, kernel), activation_of(activation)]
    layers += _sub_pixels(widths[-1], input_shape[0], factor)
    return Enlarger(_begins_at_zero(nn.Sequential(*layers)), factor)


def edsr(
    *,
    input_shape: tuple[int, ...],
    target_shape: tuple[int, ...],
    feature_maps: int = 32,
    blocks: int = 4,
    residual_scale: float = 1.0,
    activation: str = "relu",
) -> nn.Module:
    """Residual blocks in the low resolution, without normalization, and a sub-pixel convolution.

    Args:
        input_shape: (C, H, W).
        target_shape: (C, f H, f W).
        feature_maps: K; 64, or 256 with 32 blocks, are published.
        blocks: Residual blocks; 16 or 32 are published.
        residual_scale: Factor of what a block adds; 0.1 is published for 256 channels.
        activation: Name of the activation.

    Raises ValueError for shapes without a whole factor.
    """
    factor = _factor(input_shape, target_shape)
    inner = [ResidualBlock(feature_maps, activation, residual_scale) for _ in range(blocks)]
    first = _conv(input_shape[0], feature_maps, 3)
    layers = [first, *inner, *_sub_pixels(feature_maps, input_shape[0], factor)]
    return Enlarger(_begins_at_zero(nn.Sequential(*layers)), factor)


def _conv(fan_in: int, fan_out: int, kernel: int) -> nn.Conv2d:
    """A convolution that keeps the size, and repeats the pixels at the edges: with zeros they would look like lines."""
    return nn.Conv2d(fan_in, fan_out, kernel, padding=kernel // 2, padding_mode="replicate")


def _sub_pixels(fan_in: int, channels: int, factor: int) -> list[nn.Module]:
    """(B, fan_in, H, W) -> (B, C, f H, f W)."""
    return [_conv(fan_in, channels * factor**2, 3), nn.PixelShuffle(factor)]


def _begins_at_zero(body: nn.Sequential) -> nn.Sequential:
    """`body` whose last convolution is zero, so that a network begins at the bicubic enlargement."""
    last = [layer for layer in body if isinstance(layer, nn.Conv2d)][-1]
    nn.init.zeros_(last.weight)
    if last.bias is not None:
        nn.init.zeros_(last.bias)
    return body


def _factor(input_shape: Sequence[int], target_shape: Sequence[int]) -> int:
    """The whole number of times that targets are larger. Raises ValueError for other shapes."""
    channels, height, width = input_shape
    factor = target_shape[1] // height
    if tuple(target_shape) != (channels, factor * height, factor * width) or factor < 1:
        rule = f"targets {tuple(target_shape)} must be a whole number of times as large as inputs {tuple(input_shape)}"
        raise ValueError(rule)
    return factor
