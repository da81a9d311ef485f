"""Residual networks (He et al. 2016, arXiv:1512.03385), as in torchvision, for any image size.

Symbols: B batch, C channels, H and W height and width in pixels, O outputs.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from dlexp.models.initialization import initialized
from dlexp.models.layers import SqueezeExcitation, hookable, image_shape, is_small, one_norm_2d
from dlexp.models.layers import activation as activation_of

__all__ = ["resnet", "resnet18"]

_DEPTHS = (18, 34, 50, 101, 152)


def resnet(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    depth: int = 18,
    stem: str = "auto",
    activation: str = "relu",
    norm: str = "batch",
    se_reduction: int | None = None,
    init: str = "default",
) -> nn.Module:
    """ResNet: (B, C, H, W) -> (B, O).

    Basic blocks for depths 18 and 34, bottlenecks for larger ones. With the small stem, three channels and ten classes
    depth 18 has 11,173,962 parameters; with the ImageNet stem and a thousand classes 11,689,512, and depth 50
    25,557,032.

    Args:
        depth: Layers with weights: 18, 34, 50, 101 or 152.
        stem: First layers: small (3x3, stride 1, no pooling), imagenet (7x7, stride 2, 3x3 max pooling), or auto: small
            below 96 pixels.
        norm: Normalization after every convolution; with none, the last convolution of each residual branch is
            initialized to zero (Zhang et al. 2019), to bound the sum of the branches.
        se_reduction: Divisor of the channels that gives the hidden units of squeeze-and-excitation at the end of each
            residual branch (Hu et al. 2018); None: no squeeze-and-excitation.
        init: initialization; default is that of torchvision, Kaiming normal by fan out.
    """
    import torchvision

    if depth not in _DEPTHS:
        raise ValueError(f"unknown depth={depth}; available: {', '.join(map(str, _DEPTHS))}")
    channels, _, _ = image_shape(f"resnet{depth}", input_shape)
    small = is_small(stem, input_shape)
    if norm == "instance" and min(input_shape[1:]) <= (8 if small else 32):
        raise ValueError(
            "norm='instance' requires feature maps of at least two pixels, and the last block has maps of one"
        )
    make = getattr(torchvision.models, f"resnet{depth}")
    options = {} if norm == "batch" else {"norm_layer": partial(one_norm_2d, norm)}
    model: nn.Module = make(num_classes=num_outputs, **options)
    if small:
        model.conv1 = _first_convolution(channels, kernel=3, stride=1)
        model.maxpool = nn.Identity()
    elif channels != 3:
        model.conv1 = _first_convolution(channels, kernel=7, stride=2)
    if activation != "relu":
        _replace_relu(model, activation)
    model = initialized(model, init, activation, norm)
    _finish_branches(model, norm, se_reduction)
    return hookable(model)


def resnet18(*, input_shape: tuple[int, ...], num_outputs: int, stem: str = "auto") -> nn.Module:
    """ResNet-18 with batch normalization and ReLU: (B, C, H, W) -> (B, O)."""
    return resnet(input_shape=input_shape, num_outputs=num_outputs, depth=18, stem=stem)


def _first_convolution(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, 64, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution


def _replace_relu(model: nn.Module, activation: str) -> None:
    """Replace every ReLU of the model by another activation."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, activation_of(activation))


def _finish_branches(model: nn.Module, norm: str, se_reduction: int | None) -> None:
    """Set the end of each residual branch: zero initialization without normalization, squeeze-and-excitation."""
    for block in model.modules():
        last = next((n for n in ("3", "2") if hasattr(block, f"bn{n}")), None)
        if last is None:
            continue
        convolution, behind = getattr(block, f"conv{last}"), getattr(block, f"bn{last}")
        if norm == "none":
            nn.init.zeros_(convolution.weight)
        if se_reduction is not None:
            gated = nn.Sequential(behind, SqueezeExcitation(convolution.out_channels, se_reduction))
            setattr(block, f"bn{last}", gated)
