"""Activations and normalisation by name, shared by the models.

Symbols: B batch, F features, C channels, H and W height and width.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activation(name: str) -> nn.Module:
    """The activation called `name`. Raises ValueError on another name."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation={name!r} is not one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def norm_1d(name: str, width: int) -> list[nn.Module]:
    """The normalisation of (B, F) features called `name`: none, batch or layer. Raises ValueError on another name."""
    if name == "none":
        return []
    if name == "batch":
        return [nn.BatchNorm1d(width)]
    if name == "layer":
        return [nn.LayerNorm(width)]
    raise ValueError(f"norm={name!r} is not one of none, batch, layer")


def norm_2d(name: str, channels: int) -> list[nn.Module]:
    """The normalisation of (B, C, H, W) maps called `name`: none, batch or layer (over C, H and W together)."""
    if name == "none":
        return []
    if name == "batch":
        return [nn.BatchNorm2d(channels)]
    if name == "layer":
        return [nn.GroupNorm(1, channels)]
    raise ValueError(f"norm={name!r} is not one of none, batch, layer")
