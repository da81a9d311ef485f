"""LeNet-5, AlexNet and VGG for any image size.

Symbols: B batch, C channels, H and W height and width in pixels, O outputs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from dlexp.models.initialization import initialized
from dlexp.models.layers import activation as activation_of
from dlexp.models.layers import dropout as dropout_of
from dlexp.models.layers import image_shape, is_small, norm_2d, refuse_one_pixel

__all__ = ["alexnet", "lenet5", "vgg"]

_LENET_SIZE = 32  # side in pixels of an image that needs no padding
# AlexNet's convolutions: output channels and kernel; a pooling follows the 1st, 2nd and 5th.
_ALEXNET = ((64, 11), (192, 5), (384, 3), (256, 3), (256, 3))
_ALEXNET_POOLED = (0, 1, 4)
# Convolutions in each of the five blocks of VGG (Simonyan & Zisserman 2015, table 1: A, B, D, E), and their channels.
_VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_VGG_CHANNELS = (64, 128, 256, 512, 512)
_HEAD, _SMALL_HEAD = 4096, 512  # units of the two hidden layers, of the published network and for small images


def lenet5(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    activation: str = "relu",
    pool: str = "max",
    norm: str = "none",
    dropout: float = 0.0,
    init: str = "default",
) -> nn.Sequential:
    """LeNet-5 (LeCun et al. 1998): (B, C, H, W) -> (B, O).

    61,706 parameters for (1, 32, 32) and ten classes. The original has activation=tanh and pool=average. The first
    convolution has a padding of 2 for images below 32 pixels, such as the 28x28 of MNIST; a convolution has padding if
    its input is smaller than the kernel, and single pixels are not pooled.

    Args:
        pool: max or average, 2x2.
        dropout: Probability in [0, 1) that a unit of the two hidden layers is zeroed in training.
    """
    if pool not in ("max", "average"):
        raise ValueError(f"unknown pool={pool!r}; available: max, average")
    in_channels, height, width = image_shape("lenet5", input_shape)
    layers: list[nn.Module] = []
    for number, (fan_in, fan_out) in enumerate(pairwise([in_channels, 6, 16])):
        border = 2 if min(height, width) < (_LENET_SIZE if number == 0 else 5) else 0
        layers += [nn.Conv2d(fan_in, fan_out, 5, padding=border), *norm_2d(norm, fan_out), activation_of(activation)]
        height, width = height + 2 * border - 4, width + 2 * border - 4
        refuse_one_pixel(norm, height, width)
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2))
            height, width = height // 2, width // 2
    layers.append(nn.Flatten())
    for fan_in, fan_out in pairwise([16 * height * width, 120, 84]):
        layers += [nn.Linear(fan_in, fan_out), activation_of(activation), *dropout_of("unit", dropout)]
    return initialized(nn.Sequential(*layers, nn.Linear(84, num_outputs)), init, activation, norm)


def alexnet(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    stem: str = "auto",
    head: int | None = None,
    activation: str = "relu",
    norm: str = "none",
    dropout: float = 0.5,
    init: str = "auto",
) -> nn.Sequential:
    """AlexNet (Krizhevsky 2014, arXiv:1404.5997), weights named as in torchvision: (B, C, H, W) -> (B, O).

    61,100,840 parameters at (3, 224, 224) and a thousand classes.

    Args:
        stem: First layers: imagenet (11x11, stride 4, images of at least 63 pixels), small (3x3, stride 1, pooling down
            to one pixel, and 1x1 average pooling before the head), or auto: small below 96 pixels.
        head: Units of the two hidden layers; None: 4096, or 512 with the small stem.
        dropout: Probability in [0, 1) that an input of a hidden layer is zeroed in training.
    """
    in_channels, height, width = image_shape("alexnet", input_shape)
    small = is_small(stem, input_shape)
    if not small:
        image_shape("alexnet with stem=imagenet", input_shape, smallest=63)
    features: list[nn.Module] = []
    for number, (fan_out, kernel) in enumerate(_ALEXNET):
        first = number == 0
        side, stride = (3, 1) if first and small else (kernel, 4 if first else 1)
        border = 2 if first and not small else side // 2
        refuse_one_pixel(norm, height, width)
        features += [nn.Conv2d(in_channels, fan_out, side, stride, border)]
        features += [*norm_2d(norm, fan_out), activation_of(activation)]
        in_channels = fan_out
        if number in _ALEXNET_POOLED and not small:
            features.append(nn.MaxPool2d(3, 2))
        elif number in _ALEXNET_POOLED and min(height, width) >= 2:
            features.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    side = 1 if small else 6
    classifier = _classifier(256 * side * side, head or (_SMALL_HEAD if small else _HEAD), activation)
    layers: list[nn.Module] = []
    for linear, act in classifier:  # here dropout precedes each linear layer
        layers += [nn.Dropout(dropout), linear, act]
    layers.append(nn.Linear(classifier[-1][0].out_features, num_outputs))
    return initialized(_assembled(features, side, layers), init, activation, norm)


def vgg(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    depth: int = 16,
    stem: str = "auto",
    head: int | None = None,
    activation: str = "relu",
    norm: str = "none",
    dropout: float = 0.5,
    init: str = "auto",
) -> nn.Sequential:
    """VGG (Simonyan & Zisserman 2015, arXiv:1409.1556), weights named as in torchvision: (B, C, H, W) -> (B, O).

    138,357,544 parameters for depth 16 at (3, 224, 224) and a thousand classes, 138,365,992 with norm=batch.

    Args:
        depth: Layers with weights: 11, 13, 16 or 19.
        stem: Input of the head: imagenet (7x7 feature maps), small (their mean), or auto: small below 96 pixels;
            feature maps of one pixel are not pooled further.
        head: Units of the two hidden layers; None: 4096, or 512 with the small stem.
        dropout: Probability in [0, 1) that a unit of a hidden layer is zeroed in training.
    """
    if depth not in _VGG:
        raise ValueError(f"unknown depth={depth}; available: {', '.join(map(str, _VGG))}")
    in_channels, height, width = image_shape("vgg", input_shape)
    small = is_small(stem, input_shape)
    features: list[nn.Module] = []
    for convs, fan_out in zip(_VGG[depth], _VGG_CHANNELS, strict=True):
        refuse_one_pixel(norm, height, width)
        for _ in range(convs):
            features += [nn.Conv2d(in_channels, fan_out, 3, padding=1)]
            features += [*norm_2d(norm, fan_out), activation_of(activation)]
            in_channels = fan_out
        if min(height, width) >= 2:
            features.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    side = 1 if small else 7
    classifier = _classifier(512 * side * side, head or (_SMALL_HEAD if small else _HEAD), activation)
    layers: list[nn.Module] = []
    for linear, act in classifier:
        layers += [linear, act, nn.Dropout(dropout)]
    layers.append(nn.Linear(classifier[-1][0].out_features, num_outputs))
    return initialized(_assembled(features, side, layers), init, activation, norm)


def _classifier(width: int, units: int, activation: str) -> list[tuple[nn.Linear, nn.Module]]:
    return [(nn.Linear(fan_in, units), activation_of(activation)) for fan_in in (width, units)]


def _assembled(features: Sequence[nn.Module], side: int, classifier: Sequence[nn.Module]) -> nn.Sequential:
    parts: list[tuple[str, nn.Module]] = [
        ("features", nn.Sequential(*features)),
        ("avgpool", nn.AdaptiveAvgPool2d((side, side))),
        ("flatten", nn.Flatten()),
        ("classifier", nn.Sequential(*classifier)),
    ]
    return nn.Sequential(OrderedDict(parts))
