"""Denoisers: networks that see a sample with noise and how far the noise has come, and put out a sample's shape.

Symbols: B batch, C channels, H and W height and width, F numbers of a sample, E numbers of the embedding of a time, K
classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.models.layers import image_shape, one_norm_2d

__all__ = ["denoiser", "denoising_mlp"]

_SMALLEST_SIDE = 8  # of images with a U-Net; smaller ones have nothing to halve
_FREQUENCIES = 32
_NO_TIME = "a denoiser needs the time of each sample beside its inputs. Set task=diffusion"


class Condition(nn.Module):
    """The embedding of a time and of a class, which every block reads.

    Sines and cosines of the time (Vaswani et al. 2017) through two layers, plus the embedding of the class, which is a
    matrix of the class weights: a row of zeros, for no class, adds nothing.

    Args:
        size: E.
        num_classes: K, 0 for none.
    """

    def __init__(self, size: int, num_classes: int) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(2 * _FREQUENCIES, size), nn.SiLU(), nn.Linear(size, size))
        self.classes = nn.Linear(num_classes, size, bias=False) if num_classes else None

    def forward(self, times: Tensor, classes: Tensor | None) -> Tensor:
        """(B,) in [0, 1], (B, K) weights -> (B, E)."""
        steps = torch.arange(_FREQUENCIES, device=times.device, dtype=torch.float32)
        angles = 1000 * times.float()[:, None] * torch.exp(-math.log(10_000) / _FREQUENCIES * steps)
        found = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        if self.classes is not None and classes is not None:
            found = found + self.classes(classes)
        return F.silu(found)


class Denoiser(nn.Module):
    """The part that all denoisers share: the condition, and what the task reads.

    Attributes:
        num_classes: K, 0 for a network that knows no classes.
    """

    def __init__(self, size: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.condition = Condition(size, num_classes)

    def forward(self, inputs: Tensor, times: Tensor | None = None, classes: Tensor | None = None) -> Tensor:
        """(B, *shape), (B,) in [0, 1], (B, K) or None for no class -> (B, *shape). Raises ValueError without times."""
        if times is None:
            raise ValueError(_NO_TIME)
        return self.denoise(inputs, self.condition(times, classes))

    def denoise(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """(B, *shape), (B, E) -> (B, *shape)."""
        raise NotImplementedError


class MlpBlock(nn.Module):
    """A residual block: normalized, one layer, shifted and scaled by the condition, another layer."""

    def __init__(self, width: int, size: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.condition = nn.Linear(size, 2 * width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, width), (B, E) -> (B, width)."""
        scale, shift = self.condition(condition).chunk(2, 1)
        hidden = F.silu(self.first(self.norm(x)) * (1 + scale) + shift)
        return x + cast(Tensor, self.second(self.dropout(hidden)))


class DenoisingMlp(Denoiser):
    """Residual blocks of fully connected layers, for tables and small images."""

    def __init__(
        self, shape: tuple[int, ...], hidden: Sequence[int], size: int, num_classes: int, dropout: float
    ) -> None:
        super().__init__(size, num_classes)
        self.shape = shape
        self.first = nn.Linear(math.prod(shape), hidden[0])
        self.blocks = nn.ModuleList(MlpBlock(width, size, dropout) for width in hidden)
        self.changes = nn.ModuleList(_change(before, after) for before, after in pairwise([hidden[0], *hidden]))
        self.norm = nn.LayerNorm(hidden[-1])
        self.last = nn.Linear(hidden[-1], math.prod(shape))

    def denoise(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """(B, *shape), (B, E) -> (B, *shape)."""
        x = self.first(inputs.flatten(1))
        for change, block in zip(self.changes, self.blocks, strict=True):
            x = block(change(x), condition)
        found: Tensor = self.last(F.silu(self.norm(x)))
        return found.reshape(-1, *self.shape)


def _change(before: int, after: int) -> nn.Module:
    return nn.Identity() if before == after else nn.Linear(before, after)


class ConvBlock(nn.Module):
    """A residual block of two 3x3 convolutions; between them, the condition scales and shifts each channel."""

    def __init__(self, channels: int, out_channels: int, size: int, dropout: float) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = one_norm_2d("group", channels), one_norm_2d("group", out_channels)
        self.conv_1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.conv_2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.condition = nn.Linear(size, 2 * out_channels)
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, C, H, W), (B, E) -> (B, out_channels, H, W)."""
        scale, shift = self.condition(condition)[:, :, None, None].chunk(2, 1)
        hidden = self.norm_2(self.conv_1(F.silu(self.norm_1(x)))) * (1 + scale) + shift
        return cast(Tensor, self.skip(x) + self.conv_2(self.dropout(F.silu(hidden))))


class PixelAttention(nn.Module):
    """Each pixel attends to all others of its image, added to what it was."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = one_norm_2d("group", channels)
        self.projection, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        height, width = x.shape[2:]
        parts = self.projection(self.norm(x)).flatten(2).unflatten(1, (3, self.heads, -1)).transpose(-1, -2)
        found = F.scaled_dot_product_attention(parts[:, 0], parts[:, 1], parts[:, 2])
        return x + cast(Tensor, self.out(found.transpose(-1, -2).flatten(1, 2).unflatten(2, (height, width))))


class AttentiveBlock(nn.Module):
    """A residual block, and attention behind it where there are heads."""

    def __init__(self, channels: int, out_channels: int, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.block = ConvBlock(channels, out_channels, size, dropout)
        self.attention = PixelAttention(out_channels, heads) if heads else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, C, H, W), (B, E) -> (B, out_channels, H, W)."""
        return cast(Tensor, self.attention(self.block(x, condition)))


class UNet(Denoiser):
    """Down through the resolutions and up again, each block on the way up beside one of the way down.

    Halved sizes are rounded up, and each map on the way up gets the size of its partner, so any height and width work.
    Source: Ronneberger et al. 2015; Ho et al. 2020, appendix B.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        channels: Sequence[int],
        blocks: int,
        attention_side: int,
        heads: int,
        dropout: float,
        num_classes: int,
    ) -> None:
        size = 4 * channels[0]
        super().__init__(size, num_classes)

        def block(before: int, after: int, heads: int) -> AttentiveBlock:
            return AttentiveBlock(before, after, size, heads, dropout)

        sides = [max(shape[1:])]
        for _ in channels[1:]:
            sides.append(-(-sides[-1] // 2))
        attentive = [heads if side <= attention_side else 0 for side in sides]
        self.first = nn.Conv2d(shape[0], channels[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        kept = [channels[0]]
        for width, at in zip(channels, attentive, strict=True):
            if self.down:
                self.down.append(nn.Conv2d(kept[-1], kept[-1], 3, stride=2, padding=1))
                kept.append(kept[-1])
            for _ in range(blocks):
                self.down.append(block(kept[-1], width, at))
                kept.append(width)
        self.middle = nn.ModuleList(
            [block(kept[-1], kept[-1], heads if attention_side else 0), block(kept[-1], kept[-1], 0)]
        )
        before = kept[-1]
        for width, at in zip(reversed(channels), reversed(attentive), strict=True):
            if self.up:
                self.up.append(nn.Conv2d(before, before, 3, padding=1))
            for _ in range(blocks + 1):
                self.up.append(block(before + kept.pop(), width, at))
                before = width
        self.norm, self.last = one_norm_2d("group", channels[0]), nn.Conv2d(channels[0], shape[0], 3, padding=1)

    def denoise(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """(B, C, H, W), (B, E) -> (B, C, H, W)."""
        x: Tensor = self.first(inputs)
        kept = [x]
        for layer in self.down:
            x = layer(x, condition) if isinstance(layer, AttentiveBlock) else layer(x)
            kept.append(x)
        for layer in self.middle:
            x = layer(x, condition)
        for layer in self.up:
            if isinstance(layer, AttentiveBlock):
                x = layer(torch.cat([x, kept.pop()], 1), condition)
            else:
                x = layer(F.interpolate(x, size=kept[-1].shape[2:], mode="nearest"))
        return cast(Tensor, self.last(F.silu(self.norm(x))))


def denoiser(
    *,
    input_shape: tuple[int, ...],
    num_classes: int = 0,
    network: str = "auto",
    channels: Sequence[int] = (32, 64),
    blocks: int = 1,
    attention_side: int = 8,
    heads: int = 4,
    hidden: Sequence[int] = (256, 256, 256),
    dropout: float = 0.0,
    conditional: bool | None = None,
) -> Denoiser:
    """Denoiser: (B, *input_shape), times (B,) in [0, 1], class weights (B, K) or None -> (B, *input_shape).

    Args:
        input_shape: Shape of a sample: (C, H, W), or (F,) of a table.
        num_classes: K, 0 for data without classes.
        network: "unet", "mlp", or "auto": a U-Net for images of 8 pixels and more, else an MLP.
        channels: Channels of each resolution of a U-Net; each resolution has half the side of the one before.
        blocks: Residual blocks of each resolution on the way down; one more on the way up.
        attention_side: Pixels attend to each other where an image has at most this side; 0 for nowhere.
        heads: Heads of that attention; they must divide the channels.
        hidden: Units of each residual block of an MLP.
        dropout: Within each residual block.
        conditional: Whether the network knows the classes; None for where there are any.

    Raises ValueError for a U-Net on a table, more resolutions than the side allows, and heads that do not divide.
    """
    is_small = len(input_shape) != 3 or min(input_shape[1:]) < _SMALLEST_SIDE
    if network == "mlp" or (network == "auto" and is_small):
        return denoising_mlp(
            input_shape=input_shape, num_classes=num_classes, hidden=hidden, dropout=dropout, conditional=conditional
        )
    shape = image_shape("a U-Net", input_shape, smallest=2 ** (len(channels) - 1))
    if attention_side and (odd := [width for width in channels if width % heads]):
        raise ValueError(f"heads={heads} must divide the channels, and {odd[0]} is no multiple. Set model.heads=1")
    return UNet(shape, channels, blocks, attention_side, heads, dropout, _known(num_classes, conditional))


def denoising_mlp(
    *,
    input_shape: tuple[int, ...],
    num_classes: int = 0,
    hidden: Sequence[int] = (256, 256, 256),
    dropout: float = 0.0,
    conditional: bool | None = None,
) -> DenoisingMlp:
    """Denoiser of fully connected layers: (B, *input_shape), times (B,), classes (B, K) -> (B, *input_shape).

    Args:
        input_shape: Shape of a sample.
        num_classes: K, 0 for data without classes.
        hidden: Units of each residual block.
        dropout: Within each residual block.
        conditional: Whether the network knows the classes; None for where there are any.
    """
    return DenoisingMlp(input_shape, hidden, hidden[0], _known(num_classes, conditional), dropout)


def _known(num_classes: int, conditional: bool | None) -> int:
    """How many classes the network knows. Raises ValueError for none where it has to know them."""
    if conditional and not num_classes:
        raise ValueError("conditional=true requires data with classes. Set model.conditional=null")
    return num_classes if conditional is not False else 0
