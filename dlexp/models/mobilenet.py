"""MobileNet, a network of depthwise-separable convolutions (Howard et al. 2017, arXiv:1704.04861).

Symbols: B batch, C channels, H and W height and width in pixels, O outputs.
"""

from __future__ import annotations

from torch import nn

from dlexp.models.initialization import initialized
from dlexp.models.layers import activation as activation_of
from dlexp.models.layers import dropout as dropout_of
from dlexp.models.layers import image_shape, is_small, norm_2d

__all__ = ["mobilenet_v1"]

# Output channels and stride of each depthwise-separable convolution (table 1 of the paper).
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *(((512, 1),) * 5), (1024, 2), (1024, 1))


def mobilenet_v1(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    stem: str = "auto",
    width_factor: float = 1.0,
    kernel: int = 3,
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.001,
    init: str = "auto",
) -> nn.Sequential:
    """MobileNet: (B, C, H, W) -> (B, O).

    4,231,976 parameters at (3, 224, 224) and a thousand classes.

    Args:
        stem: First layers: small (without the first two strides of 2), imagenet, or auto: small below 96 pixels.
        width_factor: Factor > 0 of the published channels of every layer.
        kernel: Side of the depthwise kernels in pixels, odd.
        dropout: Probability in [0, 1) that an input of the last layer is zeroed in training.
    """
    if kernel % 2 == 0:
        raise ValueError(f"kernel={kernel} must be odd, to preserve the size of feature maps")
    in_channels, height, side = image_shape("mobilenet_v1", input_shape)
    small = is_small(stem, input_shape)
    if norm == "instance" and min(height, side) <= (8 if small else 32):
        raise ValueError(
            "norm='instance' requires feature maps of at least two pixels, and the last layers have maps of one"
        )
    fan_in = max(1, int(32 * width_factor))
    first = nn.Conv2d(in_channels, fan_in, 3, 1 if small else 2, padding=1, bias=norm == "none")
    layers: list[nn.Module] = [first, *norm_2d(norm, fan_in), activation_of(activation)]
    divided = 1 if small else 2
    for channels, stride in _BLOCKS:
        if small and stride == 2 and divided == 1:
            stride, divided = 1, 2
        fan_out = max(1, int(channels * width_factor))
        layers.append(depthwise_separable(fan_in, fan_out, stride, kernel, activation, norm))
        fan_in = fan_out
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *dropout_of("unit", dropout), nn.Linear(fan_in, num_outputs)]
    return initialized(nn.Sequential(*layers), init, activation, norm)


def depthwise_separable(
    fan_in: int, fan_out: int, stride: int = 1, kernel: int = 3, activation: str = "relu", norm: str = "batch"
) -> nn.Sequential:
    """A depthwise convolution, then a 1x1 convolution over all channels.

    (B, fan_in, H, W) -> (B, fan_out, H / stride, W / stride), rounded up. Each convolution is followed by normalization
    and activation, and has a bias only without normalization.
    """
    bias = norm == "none"
    return nn.Sequential(
        nn.Conv2d(fan_in, fan_in, kernel, stride, padding=kernel // 2, groups=fan_in, bias=bias),
        *norm_2d(norm, fan_in),
        activation_of(activation),
        nn.Conv2d(fan_in, fan_out, 1, bias=bias),
        *norm_2d(norm, fan_out),
        activation_of(activation),
    )
