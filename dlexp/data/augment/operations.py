"""Random changes to training images, each a function of (seed, epoch, sample): no batch or worker changes them.

Each operation is defined once, for a whole batch; images in memory and images that workers read go through the same
lines. What is drawn for a sample is a hash of its number, and no sum runs over a batch, so that the bits are the same
whatever samples come together. The names of operations are in `recipes`, the operations here, in `warp`, `color` and
`policies`; masks and boxes move with their images in `motion`.

Symbols: B samples, C channels, H and W height and width in pixels, D random numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.data.augment.motion import Motion, identities, move_targets
from dlexp.runtime.seed import uniforms
from dlexp.types import Field, as_tensor

LEVELS = 255.0  # what white is while images are changed, whatever it is where they are stored
_LARGE = 1024  # numbers in an image from which on it is cheaper to copy each image than to gather every pixel


class Operation(ABC):
    """A random change of images, with its strength.

    draws        D, how many random numbers of a sample it takes
    on_levels    whether it computes with pixels: images are then float32 with white at 255, and rounded at the end
    needs_white  whether it must know what white is: it changes brightness, and does not only mix or cover pixels
    """

    draws: ClassVar[int]
    on_levels: ClassVar[bool]
    needs_white: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """(B, C, H, W) and draws (B, D) in [0, 1) -> (B, C, H, W), or (B, C, H', W') where it cuts out."""

    def motions(self, draws: Tensor, shape: tuple[int, int, int]) -> Sequence[Motion]:
        """How pixels of images of `shape` (C, H, W) move, one motion after the other; none where they stay."""
        return ()


@dataclass(frozen=True)
class PlannedOperation:
    """An operation, and which of a sample's random numbers are its own: D of `purpose` from number `first` on."""

    operation: Operation
    purpose: str
    first: int = 0


@dataclass(frozen=True)
class Augmentation:
    """The random changes of one epoch to images and what lies on them, as plain values that a process can be sent.

    white     what white is where the images are stored
    size      height and width that leave: of larger images the middle, where no step has cut them out; 0 for all of it
    geometry  how targets move with the images: "mask", "image", "boxes", or "" for not at all
    fill      class number of a mask's pixels that come from outside of the image
    """

    steps: tuple[PlannedOperation, ...]
    seed: int
    epoch: int
    white: float = LEVELS
    size: int = 0
    geometry: str = ""
    fill: int = 0

    @property
    def moves_targets(self) -> bool:
        """Whether targets lie on the images."""
        return bool(self.geometry)

    def __call__(self, inputs: Field, targets: Field | None, indices: Tensor) -> tuple[Tensor, Field | None]:
        """(B, C, H, W), their targets and sample numbers (B,) -> the changed images, of the same type and layout.

        Targets are changed as the pixels of their image move, and not as its brightness changes.
        """
        images = as_tensor(inputs)
        found, is_raised = images, False
        for step in self.steps:
            if step.operation.on_levels and not is_raised:
                found, is_raised = _raised(found, LEVELS / self.white), True
            drawn = uniforms(self.seed, self.epoch, indices, step.first + step.operation.draws, step.purpose)
            own = drawn[:, step.first :]
            if targets is not None and self.geometry:
                for motion in step.operation.motions(own, _shape(found)):
                    targets = move_targets(targets, motion, self.geometry, self.fill)
            found = step.operation(found, own)
        if self.size:
            if targets is not None and self.geometry:
                targets = move_targets(targets, _to_middle(found, self.size), self.geometry, self.fill)
            found = middle(found, self.size)
        return self._as_stored(found, images) if is_raised else found, targets

    def _as_stored(self, found: Tensor, images: Tensor) -> Tensor:
        """Images of levels, of the type, the white and the layout of `images`."""
        found = found if self.white == LEVELS else found * (self.white / LEVELS)
        found = found.to(images.dtype) if images.is_floating_point() else found.round_().to(images.dtype)
        is_last = images.is_contiguous(memory_format=torch.channels_last)
        return found.contiguous(memory_format=torch.channels_last if is_last else torch.contiguous_format)


@dataclass(frozen=True)
class Crop(Operation):
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

    def motions(self, draws: Tensor, shape: tuple[int, int, int]) -> Sequence[Motion]:
        """One: a shift, and a mirror."""
        old = shape[1:]
        new = (self.size, self.size) if self.size else old
        found = identities(draws.double() if draws.device.type != "mps" else draws, len(draws))
        corners = _corners(old, draws[:, :2], self.pad, new)
        for row, axis in ((0, 1), (1, 0)):  # x is along columns
            found[:, row, 2] = corners[:, axis] - self.pad + (new[axis] - old[axis]) / 2
        if self.flip:
            found[:, 0, 0] = torch.where(draws[:, 2] < 0.5, -1.0, 1.0)
        return [Motion(found, old, new)]


@dataclass(frozen=True)
class Flip(Operation):
    """Mirror left to right, or with `upside_down` top to bottom, with a probability."""

    probability: float = 0.5
    upside_down: bool = False

    draws: ClassVar[int] = 1
    on_levels: ClassVar[bool] = False

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Draws (B, 1): whether."""
        return random_flip(images, draws[:, 0], self.probability, 2 if self.upside_down else 3)

    def motions(self, draws: Tensor, shape: tuple[int, int, int]) -> Sequence[Motion]:
        """One: a mirror."""
        found = identities(draws.double() if draws.device.type != "mps" else draws, len(draws))
        axis = 1 if self.upside_down else 0
        found[:, axis, axis] = torch.where(draws[:, 0] < self.probability, -1.0, 1.0)
        return [Motion(found, shape[1:], shape[1:])]


@dataclass(frozen=True)
class Cutout(Operation):
    """Cover a square with the mean color, its middle anywhere in the image (DeVries & Taylor 2017, arXiv:1708.04552).

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
    top, left = _corners(images.shape[2:], draws, pad, (height, width)).unbind(dim=1)
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
    corners = _corners(images.shape[2:], draws[:, :2], pad, (height, width)).tolist()
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


def _shape(images: Tensor) -> tuple[int, int, int]:
    channels, height, width = images.shape[1:]
    return channels, height, width


def _to_middle(images: Tensor, size: int) -> Motion:
    """The motion of `middle`."""
    old = _shape(images)[1:]
    found = identities(torch.empty((), device=images.device), len(images))
    for row, axis in ((0, 1), (1, 0)):
        found[:, row, 2] = (old[axis] - size) // 2 + (size - old[axis]) / 2
    return Motion(found, old, (size, size))


def _corners(old: tuple[int, ...], draws: Tensor, pad: int, size: tuple[int, int]) -> Tensor:
    """Where windows of `size` begin in padded images of the size `old`: draws (B, 2) in [0, 1) -> (B, 2) int64."""
    room = [old[axis] + 2 * pad - size[axis] + 1 for axis in (0, 1)]
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
