"""Activations, normalisation and dropout by name, shared by the models.

Symbols: B batch, F features, C channels, H and W height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import gcd

import torch
from torch import Tensor, nn

_GROUPS = 8  # groups of norm=group where the channels can be divided so


class Step(nn.Module):
    """1 where x > 0, else 0, of any shape; the perceptron's threshold.

    The gradient is that of the identity on [-1, 1] and 0 outside (straight-through, Bengio et al. 2013,
    arXiv:1308.3432): the true one is 0 everywhere, and nothing below would learn.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        through = x.clamp(-1, 1)
        return through + ((x > 0).to(x.dtype) - through).detach()


class ChannelRms(nn.Module):
    """Each pixel divided by the root mean square of its channels (Zhang & Sennrich 2019), then scaled by channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + torch.finfo(x.dtype).eps) * self.weight


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate in (0, 1) that sees the means of all channels (Hu et al. 2018, arXiv:1709.01507).

    channels   C
    reduction  the gate's hidden layer has C / reduction units, and one at least
    bias       whether its two layers have biases, as the authors' trained networks do
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = True) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1, bias=bias),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1, bias=bias),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        scaled: Tensor = x * self.gate(x)
        return scaled


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "step": Step,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,  # slope 0.01
    "leaky_relu_0.1": partial(nn.LeakyReLU, 0.1),
    "leaky_relu_0.2": partial(nn.LeakyReLU, 0.2),
    "prelu": nn.PReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,  # x * Phi(x)
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "softplus": nn.Softplus,
    "softmax": partial(nn.Softmax, dim=1),  # over features or channels
    "log_softmax": partial(nn.LogSoftmax, dim=1),
}
NORMS = ("none", "batch", "layer", "group", "instance", "rms")
DROPOUTS = ("unit", "channel", "alpha")


def activation(name: str) -> nn.Module:
    """The activation called `name`. Raises ValueError on another name."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation={name!r} is not one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def norm_1d(name: str, width: int) -> list[nn.Module]:
    """The normalisation of (B, F) features called `name`. Raises ValueError on a name that features have not."""
    if name == "instance":
        raise ValueError("norm='instance' is over the pixels of a map, and features have none: choose layer or group")
    made: dict[str, Callable[[], list[nn.Module]]] = {
        "none": list,
        "batch": lambda: [nn.BatchNorm1d(width)],
        "layer": lambda: [nn.LayerNorm(width)],
        "group": lambda: [nn.GroupNorm(gcd(_GROUPS, width), width)],
        "rms": lambda: [nn.RMSNorm(width)],
    }
    return _made(made, name)


def norm_2d(name: str, channels: int) -> list[nn.Module]:
    """The normalisation of (B, C, H, W) maps called `name`.

    layer  over C, H and W together
    group  8 groups, or the largest smaller power of two that divides C
    rms    over the channels of each pixel
    """
    made: dict[str, Callable[[], list[nn.Module]]] = {
        "none": list,
        "batch": lambda: [nn.BatchNorm2d(channels)],
        "layer": lambda: [nn.GroupNorm(1, channels)],
        "group": lambda: [nn.GroupNorm(gcd(_GROUPS, channels), channels)],
        "instance": lambda: [nn.InstanceNorm2d(channels, affine=True)],
        "rms": lambda: [ChannelRms(channels)],
    }
    return _made(made, name)


def one_norm_2d(name: str, channels: int) -> nn.Module:
    """`norm_2d` as one module, nn.Identity for none."""
    return next(iter(norm_2d(name, channels)), nn.Identity())


def dropout(kind: str, p: float) -> list[nn.Module]:
    """Nothing for p = 0, else what zeroes with chance `p` while training.

    kind  unit (single numbers), channel (whole maps of (B, C, H, W)), or alpha (keeps mean and deviation of SELU)
    """
    if kind not in DROPOUTS:
        raise ValueError(f"dropout_kind={kind!r} is not one of {', '.join(DROPOUTS)}")
    kinds: dict[str, Callable[[float], nn.Module]] = {
        "unit": nn.Dropout,
        "channel": nn.Dropout2d,
        "alpha": nn.AlphaDropout,
    }
    return [kinds[kind](p)] if p else []


def refuse_alpha_without_selu(dropout_kind: str, activation: str, norm: str) -> None:
    """Alpha dropout keeps the mean and deviation that SELU alone gives. Raises ValueError for other company."""
    if dropout_kind == "alpha" and activation != "selu":
        raise ValueError(f"dropout_kind='alpha' belongs to activation='selu', and here it is {activation!r}")
    if dropout_kind == "alpha" and norm != "none":
        raise ValueError(f"dropout_kind='alpha' keeps what SELU normalises itself: choose norm='none', not {norm!r}")


def refuse_one_pixel(norm: str, height: int, width: int) -> None:
    """Instance normalisation has no variance over a single pixel. Raises ValueError."""
    if norm == "instance" and height * width == 1:
        raise ValueError("norm='instance' needs maps of two pixels or more, and a layer here sees one: choose another")


def ordered(place: str, norm: list[nn.Module], act: nn.Module) -> list[nn.Module]:
    """Normalisation and activation in the order that norm_place says: before the activation, or after it."""
    if place not in ("before", "after"):
        raise ValueError(f"norm_place={place!r} is not one of before, after")
    return [*norm, act] if place == "before" else [act, *norm]


def image_shape(name: str, input_shape: tuple[int, ...], smallest: int = 1) -> tuple[int, int, int]:
    """(channels, height, width). Raises ValueError for a sample that is no image, or less than `smallest` pixels."""
    if len(input_shape) != 3:
        raise ValueError(f"{name} reads images (channels, height, width), and a sample here has shape {input_shape}")
    channels, height, width = input_shape
    if min(height, width) < smallest:
        raise ValueError(
            f"{name} needs images of {smallest}x{smallest} pixels or more, and here they are {input_shape}"
        )
    return channels, height, width


def is_small(stem: str, input_shape: tuple[int, ...]) -> bool:
    """Whether the first layers keep the resolution: stem=small, or auto below 96 pixels, where /4 leaves too little."""
    if stem not in ("auto", "small", "imagenet"):
        raise ValueError(f"stem={stem!r} is not one of auto, small, imagenet")
    return stem == "small" or (stem == "auto" and min(input_shape[1:]) < 96)


def hookable(model: nn.Module) -> nn.Module:
    """The model with no activation that overwrites what the layer before it put out, so that hooks see that."""
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    return model


def _made(made: dict[str, Callable[[], list[nn.Module]]], name: str) -> list[nn.Module]:
    if name not in made:
        raise ValueError(f"norm={name!r} is not one of {', '.join(made)}")
    return made[name]()
