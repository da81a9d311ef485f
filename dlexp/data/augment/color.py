"""Changes of brightness and color, for any number of channels that they make sense for.

Images here are float32 (B, C, H, W) with levels from 0, black, to 255, white; factors are (B,). The formulas are those
of torchvision's `transforms.v2.functional`, without its rounding after each step. Sums over an image are sums of whole
numbers, which come out the same in any order.

Symbols: B samples, C channels, H and W height and width in pixels, D random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dlexp.data.augment.geometry import scale_draws, wide
from dlexp.data.augment.operations import LEVELS, Operation

_LUMA = (0.2989, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601), as torchvision rounds them
_FINE = 256  # parts of a level that a mean brightness is exact to


@dataclass(frozen=True)
class Color(Operation):
    """Change brightness, contrast, saturation and hue, in this order, each by its own factor.

    brightness, contrast, saturation  v: a factor between max(0, 1 - v) and 1 + v
    hue                               v in [0, 0.5]: a turn of the color circle between -v and v
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    draws: ClassVar[int] = 4
    on_levels: ClassVar[bool] = True
    needs_white: ClassVar[bool] = True

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Draws (B, 4): one for each factor."""
        spreads = (self.brightness, self.contrast, self.saturation)
        factors = [scale_draws(draws[:, n], max(0.0, 1 - v), 1 + v).float() for n, v in enumerate(spreads)]
        for change, spread, factor in zip((brightened, contrasted, saturated), spreads, factors, strict=True):
            images = change(images, factor) if spread else images
        return hue_turned(images, scale_draws(draws[:, 3], -self.hue, self.hue).float()) if self.hue else images


@dataclass(frozen=True)
class Gray(Operation):
    """Take the colors away with a probability; the channels stay."""

    probability: float = 0.1

    draws: ClassVar[int] = 1
    on_levels: ClassVar[bool] = True

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Draws (B, 1): whether."""
        return torch.where((draws[:, 0] < self.probability)[:, None, None, None], luma(images), images)


def luma(images: Tensor) -> Tensor:
    """How bright each pixel looks, (B, 1, H, W): of three channels by BT.601, else their mean."""
    channels = images.shape[1]
    weights = _LUMA if channels == len(_LUMA) else (1 / channels,) * channels
    found = images[:, :1] * weights[0]
    for number, weight in enumerate(weights[1:], start=1):
        found = found + images[:, number : number + 1] * weight
    return found


def brightened(images: Tensor, factor: Tensor) -> Tensor:
    """Factor 0 is black, 1 the image."""
    return (images * _each(factor)).clamp_(0, LEVELS)


def contrasted(images: Tensor, factor: Tensor) -> Tensor:
    """Factor 0 is the image's mean brightness, 1 the image."""
    pixels = images.shape[2] * images.shape[3]
    total = (luma(images) * _FINE).round().long().sum(dim=(1, 2, 3))
    return _blend(images, (wide(total) / (_FINE * pixels)).float()[:, None, None, None], factor)


def saturated(images: Tensor, factor: Tensor) -> Tensor:
    """Factor 0 is gray, 1 the image."""
    return _blend(images, luma(images), factor)


def hue_turned(images: Tensor, turn: Tensor) -> Tensor:
    """(B, 3, H, W) with the color circle turned by `turn` (B,), 1 for all the way round."""
    red, green, blue = images.unbind(dim=1)
    most, least = images.amax(dim=1), images.amin(dim=1)
    spread = most - least
    safe = torch.where(spread > 0, spread, 1.0)
    above = torch.where(most == green, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe)
    sector = torch.where(most == red, (green - blue) / safe, above) / 6 + turn[:, None, None]
    six = (sector - sector.floor()) * 6
    # Each channel is at its most within one sixth of its own place on the circle and falls off to both sides.
    planes = [most - spread * _fall(six, place) for place in (0.0, 2.0, 4.0)]
    return torch.stack(planes, dim=1).clamp_(0, LEVELS)


def sharpened(images: Tensor, factor: Tensor) -> Tensor:
    """Factor 0 is smoothed, 1 the image; the outermost pixels stay. An image below 3 pixels stays as it is."""
    if min(images.shape[2:]) < 3:
        return images
    inner = images[:, :, 1:-1, 1:-1] * 5
    for down in range(3):
        for right in range(3):
            if (down, right) != (1, 1):
                bottom, end = images.shape[2] - 2 + down, images.shape[3] - 2 + right
                inner = inner + images[:, :, down:bottom, right:end]
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = inner / 13
    return _blend(images, smooth, factor)


def posterized(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the `bits` (B,) int64 highest of eight bits of each level."""
    step = _each(torch.ones_like(bits).bitwise_left_shift(8 - bits).float())
    return (images.round() / step).floor() * step


def solarized(images: Tensor, threshold: Tensor) -> Tensor:
    """Turn levels from `threshold` (B,) on into their opposite."""
    return torch.where(images >= _each(threshold), LEVELS - images, images)


def auto_contrasted(images: Tensor) -> Tensor:
    """Stretch each channel from black to white; a channel of one level stays."""
    least, most = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    spread = torch.where(most > least, most - least, LEVELS)
    return ((images - torch.where(most > least, least, 0.0)) * (LEVELS / spread)).clamp_(0, LEVELS)


def equalized(images: Tensor) -> Tensor:
    """Give each channel as many pixels of each level, as Pillow's `ImageOps.equalize`."""
    count, channels = images.shape[:2]
    bins = int(LEVELS) + 1
    levels = images.round().long().flatten(2).flatten(0, 1)  # (B * C, H * W)
    offsets = torch.arange(len(levels), device=images.device)[:, None] * bins
    histogram = torch.bincount((levels + offsets).flatten(), minlength=len(levels) * bins).reshape(-1, bins)
    top = (histogram > 0).long().cumsum(dim=1).argmax(dim=1)  # the highest level that occurs
    last = histogram.gather(1, top[:, None])
    step = (levels.shape[1] - last) // (bins - 1)  # (B * C, 1)
    below = histogram.cumsum(dim=1) - histogram
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(0, bins - 1)
    changed = torch.where(step > 0, table.gather(1, levels), levels)
    return changed.reshape(count, channels, *images.shape[2:]).float()


def _fall(six: Tensor, place: float) -> Tensor:
    """0 near `place` on a circle of six, 1 far from it, straight between: (B, H, W) -> (B, H, W)."""
    away = (six - place).abs()
    return (torch.minimum(away, 6 - away) - 1).clamp_(0, 1)


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (images * _each(factor) + other * _each(1 - factor)).clamp_(0, LEVELS)


def _each(factor: Tensor) -> Tensor:
    return factor[:, None, None, None]
