"""Random changes to training images, each a function of (seed, epoch, sample): no batch or worker changes them.

Each operation is defined once, for a whole batch; images in memory and images that workers read go through the same
lines. What is drawn for a sample is a hash of its number, and no sum runs over a batch, so that the bits are the same
whatever samples come together. What there is: `recipes`; how it is done: here, `warp`, `colour` and `policies`.

Symbols: B samples, C channels, H and W height and width in pixels, D random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.runtime.seed import uniforms

LEVELS = 255.0  # what white is while images are changed, whatever it is where they are stored
_LARGE = 1024  # numbers in an image from which on it is cheaper to copy each image than to gather every pixel


class Operation(Protocol):
    """A random change of images, with its strength.

    draws     D, how many random numbers of a sample it takes
    on_levels whether it computes with brightness: images are then float32 with white at 255, and rounded at the end
    """

    draws: ClassVar[int]
    on_levels: ClassVar[bool]

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """(B, C, H, W) and draws (B, D) in [0, 1) -> (B, C, H, W), or (B, C, H', W') where it cuts out."""


@dataclass(frozen=True)
class Step:
    """An operation, and which of a sample's random numbers are its own: D of `purpose` from number `first` on."""

    operation: Operation
    purpose: str
    first: int = 0


@dataclass(frozen=True)
class Change:
    """The random changes of one epoch, as plain values that a worker process can be sent.

    white  what white is where the images are stored
    size   height and width that leave: of larger images the middle, where no step has cut them out; 0 for as they come
    """

    steps: tuple[Step, ...]
    seed: int
    epoch: int
    white: float = LEVELS
    size: int = 0

    def __call__(self, images: Tensor, rows: Tensor) -> Tensor:
        """(B, C, H, W) and (B,) sample numbers -> the changed images, of the same type and layout in memory."""
        found, is_raised = images, False
        for step in self.steps:
            if step.operation.on_levels and not is_raised:
                found, is_raised = _raised(found, LEVELS / self.white), True
            drawn = uniforms(self.seed, self.epoch, rows, step.first + step.operation.draws, step.purpose)
            found = step.operation(found, drawn[:, step.first :])
        found = middle(found, self.size) if self.size else found
        if not is_raised:
            return found
        found = found if self.white == LEVELS else found * (self.white / LEVELS)
        found = found if images.is_floating_point() else found.round_().to(images.dtype)
        is_last = images.is_contiguous(memory_format=torch.channels_last)
        return found.contiguous(memory_format=torch.channels_last if is_last else torch.contiguous_format)


@dataclass(frozen=True)
class Crop:
    """Pad with black and cut the old size, or `size`, out again, anywhere; then, with `flip`, mirror one in two.

    Both in one pass over the pixels, because the two together are what most training does.
    """

    pad: int
    flip: bool = False
    size: int = 0

    draws: ClassVar[int] = 3
    on_levels: ClassVar[bool] = False

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Draws (B, 3): row, column, mirror."""
        if images.device.type == "cpu" and images[:1].numel() >= _LARGE:
            return one_by_one(images, draws, self.pad, self.flip, self.size)
        shifted = random_shift(images, draws[:, :2], self.pad, self.size)
        return random_flip(shifted, draws[:, 2]) if self.flip else shifted


@dataclass(frozen=True)
class Flip:
    """Mirror left to right, or with `upside_down` top to bottom, with a probability."""

    probability: float = 0.5
    upside_down: bool = False

    draws: ClassVar[int] = 1
    on_levels: ClassVar[bool] = False

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Draws (B, 1): whether."""
        return random_flip(images, draws[:, 0], self.probability, 2 if self.upside_down else 3)


@dataclass(frozen=True)
class Cutout:
    """Cover a square with the mean colour, its middle anywhere in the image (DeVries & Taylor 2017, arXiv:1708.04552).

    size  its side, as a share of the smaller side of the image, in (0, 1]
    fill  C levels in [0, 255]
    """

    size: float = 0.5
    probability: float = 1.0
    fill: tuple[float, ...] = (0.0,)

    draws: ClassVar[int] = 3
    on_levels: ClassVar[bool] = True

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Draws (B, 3): whether, row, column."""
        height, width = images.shape[2:]
        side = max(1, round(self.size * min(height, width)))
        inside = _within(draws[:, 1], height, side)[:, None, :, None] & _within(draws[:, 2], width, side)[:, None, None]
        inside &= (draws[:, 0] < self.probability)[:, None, None, None]
        fill = torch.tensor(self.fill, device=images.device)[None, :, None, None]
        return torch.where(inside, fill, images)


def random_shift(images: Tensor, draws: Tensor, pad: int, size: int = 0) -> Tensor:
    """Pad with zeros and cut a window of the old size, or `size` squared, out: (B, C, H, W), draws (B, 2) in [0, 1)."""
    height, width = (size, size) if size else images.shape[2:]
    top, left = _corners(images, draws, pad, (height, width)).unbind(dim=1)
    windows = F.pad(images, (pad, pad, pad, pad)).unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images), device=images.device), :, top, left]


def random_flip(images: Tensor, draws: Tensor, probability: float = 0.5, along: int = 3) -> Tensor:
    """Mirror where draws (B,) < `probability`: (B, C, H, W) -> (B, C, H, W). `along` 3 is left to right, 2 top down."""
    return torch.where(draws[:, None, None, None] < probability, images.flip(along), images)


def one_by_one(images: Tensor, draws: Tensor, pad: int, flip: bool, size: int = 0) -> Tensor:
    """What `random_shift` and then, if `flip`, `random_flip` give, by one copy an image: several times faster on a CPU.

    (B, C, H, W), draws (B, 3) in [0, 1) -> (B, C, H, W), in memory with the channels last when `images` are so.
    """
    is_last = images.is_contiguous(memory_format=torch.channels_last)
    count, channels = images.shape[:2]
    height, width = (size, size) if size else images.shape[2:]
    pixels = images.permute(0, 2, 3, 1).numpy() if is_last else images.numpy()
    margin = [(0, 0), (pad, pad), (pad, pad), (0, 0)] if is_last else [(0, 0), (0, 0), (pad, pad), (pad, pad)]
    padded = np.pad(pixels, margin) if pad else pixels
    shape = (count, height, width, channels) if is_last else (count, channels, height, width)
    found = np.empty(shape, dtype=pixels.dtype)
    mirror = np.s_[:, ::-1] if is_last else np.s_[:, :, ::-1]
    corners = _corners(images, draws[:, :2], pad, (height, width)).tolist()
    for number, ((top, left), is_flipped) in enumerate(zip(corners, (draws[:, 2] < 0.5).tolist(), strict=True)):
        rows, columns = slice(top, top + height), slice(left, left + width)
        window = padded[number, rows, columns] if is_last else padded[number, :, rows, columns]
        found[number] = window[mirror] if flip and is_flipped else window
    changed = torch.from_numpy(found)
    return changed.permute(0, 3, 1, 2) if is_last else changed


def middle(images: Tensor, size: int) -> Tensor:
    """The middle of images that are larger: (B, C, H, W) -> (B, C, size, size), in the same layout in memory."""
    height, width = images.shape[2:]
    if (height, width) == (size, size):
        return images
    top, left = (height - size) // 2, (width - size) // 2
    is_last = images.is_contiguous(memory_format=torch.channels_last)
    cut = images[:, :, top : top + size, left : left + size]
    return cut.contiguous(memory_format=torch.channels_last if is_last else torch.contiguous_format)


def _corners(images: Tensor, draws: Tensor, pad: int, size: tuple[int, int]) -> Tensor:
    """Where windows of `size` begin in the padded images: draws (B, 2) in [0, 1) -> (B, 2) int64, row and column."""
    room = [images.shape[2 + axis] + 2 * pad - size[axis] + 1 for axis in (0, 1)]
    return torch.stack([draws[:, axis] * room[axis] for axis in (0, 1)], dim=1).long()


def _raised(images: Tensor, factor: float) -> Tensor:
    """Float32 and planar, which all that computes with pixels is fastest on, times `factor`."""
    found = images.to(torch.float32, memory_format=torch.contiguous_format)
    return found if factor == 1 else found * factor


def _within(draws: Tensor, size: int, side: int) -> Tensor:
    """Places 0..size-1 that a stretch of `side` round a place drawn covers: (B,) -> (B, size) bool."""
    start = (draws * size).floor() - side // 2
    places = torch.arange(size, device=draws.device)[None]
    return (places >= start[:, None]) & (places < (start + side)[:, None])
