"""Activations, normalization and dropout by name, shared by the models.

Symbols: B batch, F features, C channels, H and W height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import gcd

import torch
from torch import Tensor, nn

_GROUPS = 8  # groups of norm=group, if they divide the channels


class StepActivation(nn.Module):
    """Step function: 1 where x > 0, else 0, elementwise.

    The gradient is that of the identity on [-1, 1] and 0 outside (straight-through estimator, Bengio et al. 2013,
    arXiv:1308.3432), because the true gradient is 0 almost everywhere.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        through = x.clamp(-1, 1)
        return through + ((x > 0).to(x.dtype) - through).detach()


class ChannelRms(nn.Module):
    """RMS normalization over the channels of each pixel (Zhang & Sennrich 2019), with a learned scale per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + torch.finfo(x.dtype).eps) * self.weight


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation: scales channels by gates in (0, 1), computed from all channel means (Hu et al. 2018).

    Source: arXiv:1709.01507.

    Args:
        channels: C.
        reduction: The hidden layer of the gate has C / reduction units, at least one.
        bias: Whether the layers of the gate have biases, as in the published networks.
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
    "step": StepActivation,
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
    """Return the activation `name`. Raises ValueError for an unknown name."""
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation={name!r}; available: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def norm_1d(name: str, width: int) -> list[nn.Module]:
    """Return the normalization `name` of features (B, F). Raises ValueError for an unknown name, and for instance."""
    if name == "instance":
        raise ValueError("norm='instance' requires images. Use norm=layer or norm=group")
    made: dict[str, Callable[[], list[nn.Module]]] = {
        "none": list,
        "batch": lambda: [nn.BatchNorm1d(width)],
        "layer": lambda: [nn.LayerNorm(width)],
        "group": lambda: [nn.GroupNorm(gcd(_GROUPS, width), width)],
        "rms": lambda: [nn.RMSNorm(width)],
    }
    return _made(made, name)


def norm_2d(name: str, channels: int) -> list[nn.Module]:
    """Return the normalization `name` of feature maps (B, C, H, W).

    layer is over C, H and W together; group has 8 groups, or the largest smaller power of two that divides C; rms is
    over the channels of each pixel. Raises ValueError for an unknown name.
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
    """Return `norm_2d` as one module, nn.Identity for none."""
    return next(iter(norm_2d(name, channels)), nn.Identity())


def dropout(kind: str, p: float) -> list[nn.Module]:
    """Return the dropout layer of a kind, no layer for p = 0.

    Args:
        kind: unit (single units), channel (whole feature maps of (B, C, H, W)), or alpha (preserves mean and variance
            of SELU).
        p: Probability in [0, 1) of zeroing in training.

    Raises ValueError for an unknown kind.
    """
    if kind not in DROPOUTS:
        raise ValueError(f"unknown dropout_kind={kind!r}; available: {', '.join(DROPOUTS)}")
    kinds: dict[str, Callable[[float], nn.Module]] = {
        "unit": nn.Dropout,
        "channel": nn.Dropout2d,
        "alpha": nn.AlphaDropout,
    }
    return [kinds[kind](p)] if p else []


def refuse_alpha_without_selu(dropout_kind: str, activation: str, norm: str) -> None:
    """Raise ValueError for alpha dropout with other activations than SELU or with normalization."""
    if dropout_kind == "alpha" and activation != "selu":
        raise ValueError(f"dropout_kind='alpha' requires activation='selu', got {activation!r}")
    if dropout_kind == "alpha" and norm != "none":
        raise ValueError(f"dropout_kind='alpha' requires norm='none', since SELU normalizes itself, got {norm!r}")


def refuse_one_pixel(norm: str, height: int, width: int) -> None:
    """Raise ValueError for instance normalization of feature maps with a single pixel, which have no variance."""
    if norm == "instance" and height * width == 1:
        raise ValueError(
            "norm='instance' requires feature maps of two or more pixels, got one in some layer. Use another norm."
        )


def place_norm(place: str, norm: list[nn.Module], act: nn.Module) -> list[nn.Module]:
    """Return normalization and activation in the order of norm_place: before or after the activation."""
    if place not in ("before", "after"):
        raise ValueError(f"unknown norm_place={place!r}; available: before, after")
    return [*norm, act] if place == "before" else [act, *norm]


def image_shape(name: str, input_shape: tuple[int, ...], smallest: int = 1) -> tuple[int, int, int]:
    """Return (channels, height, width). Raises ValueError for samples that are no images, or too small.

    Args:
        name: Name of the model, for messages.
        input_shape: Shape of a sample.
        smallest: Smallest supported height and width in pixels.
    """
    if len(input_shape) != 3:
        raise ValueError(f"{name} requires images (channels, height, width), got samples of shape {input_shape}")
    channels, height, width = input_shape
    if min(height, width) < smallest:
        raise ValueError(f"{name} requires images of at least {smallest}x{smallest} pixels, got {input_shape}")
    return channels, height, width


def is_small(stem: str, input_shape: tuple[int, ...]) -> bool:
    """Return whether the first layers keep the resolution: stem=small, or auto below 96 pixels."""
    if stem not in ("auto", "small", "imagenet"):
        raise ValueError(f"unknown stem={stem!r}; available: auto, small, imagenet")
    return stem == "small" or (stem == "auto" and min(input_shape[1:]) < 96)


def hookable(model: nn.Module) -> nn.Module:
    """Disable inplace activations in `model`, so that hooks see the outputs of the layers before them; return it."""
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    return model


def _made(made: dict[str, Callable[[], list[nn.Module]]], name: str) -> list[nn.Module]:
    if name not in made:
        raise ValueError(f"unknown norm={name!r}; available: {', '.join(made)}")
    return made[name]()
