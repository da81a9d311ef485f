"""Residual networks (He et al. 2016, arXiv:1512.03385), as torchvision builds them, fitted to any image size.

Symbols: B batch, C channels, H and W height and width in pixels, O outputs.
"""

from __future__ import annotations

from torch import nn

__all__ = ["resnet18"]

_SMALL_IMAGE = 96  # pixels: below this the ImageNet stem, which divides by 4, leaves too little


def resnet18(*, input_shape: tuple[int, ...], num_outputs: int, stem: str = "auto") -> nn.Module:
    """ResNet-18: (B, C, H, W) -> (B, O).

    11,173,962 parameters with the small stem, three channels and ten classes; 11,689,512 with the ImageNet stem and a
    thousand.

    stem  small (3x3, stride 1, no pooling), imagenet (7x7, stride 2, 3x3 max pooling), or auto: small below 96 pixels
    """
    import torchvision

    if len(input_shape) != 3:
        raise ValueError(f"resnet18 reads images (channels, height, width), and a sample here has shape {input_shape}")
    if stem not in ("auto", "small", "imagenet"):
        raise ValueError(f"stem={stem!r} is not one of auto, small, imagenet")
    channels, height, width = input_shape
    model: nn.Module = torchvision.models.resnet18(num_classes=num_outputs)
    if stem == "small" or (stem == "auto" and min(height, width) < _SMALL_IMAGE):
        model.conv1 = _first_convolution(channels, kernel=3, stride=1)
        model.maxpool = nn.Identity()
    elif channels != 3:
        model.conv1 = _first_convolution(channels, kernel=7, stride=2)
    return model


def _first_convolution(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, 64, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution
