"""Residual networks (He et al. 2016, arXiv:1512.03385), as torchvision builds them, fitted to any image size.

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

    Basic blocks for depths 18 and 34, bottlenecks above. With the small stem, three channels and ten classes depth 18
    has 11,173,962 parameters; with the ImageNet stem and a thousand classes 11,689,512, and depth 50 25,557,032.

    depth         18, 34, 50, 101 or 152 layers with weights
    stem          small (3x3, stride 1, no pooling), imagenet (7x7, stride 2, 3x3 max pooling), or auto: small below 96
                  pixels
    norm          behind every convolution; with none each residual branch begins at zero (Zhang et al. 2019), since
                  nothing else keeps the sum of the branches small
    se_reduction  squeeze-and-excitation at the end of each residual branch (Hu et al. 2018), its hidden layer with
                  channels / se_reduction units; None for none
    init          default is torchvision's: Kaiming normal by the fan out
    """
    import torchvision

    if depth not in _DEPTHS:
        raise ValueError(f"depth={depth} is not one of {', '.join(map(str, _DEPTHS))}")
    channels, _, _ = image_shape(f"resnet{depth}", input_shape)
    small = is_small(stem, input_shape)
    if norm == "instance" and min(input_shape[1:]) <= (8 if small else 32):
        raise ValueError("norm='instance' needs maps of two pixels or more, and the last block here sees one")
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
    """`resnet` of depth 18 with batch normalisation and ReLU; the name that configurations of older runs have."""
    return resnet(input_shape=input_shape, num_outputs=num_outputs, depth=18, stem=stem)


def _first_convolution(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, 64, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution


def _replace_relu(model: nn.Module, activation: str) -> None:
    """Put another activation wherever the model has a ReLU."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, activation_of(activation))


def _finish_branches(model: nn.Module, norm: str, se_reduction: int | None) -> None:
    """What stands at the end of each residual branch, in front of the addition."""
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
