"""RandAugment and TrivialAugment: the operations are drawn for each image from one list.

The list and the strengths are torchvision's (`transforms.v2.RandAugment`, `TrivialAugmentWide`), with bilinear in place
of nearest pixels. What the images of a batch share, an operation, is done for them together; all that move pixels are
one interpolation.

Symbols: B samples, C channels, H and W height and width in pixels, D random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dlexp.data.augment import color
from dlexp.data.augment.geometry import matrices, warped, wide
from dlexp.data.augment.motion import Motion, identities
from dlexp.data.augment.operations import LEVELS, Operation

_STEPS = 30  # the highest magnitude; there are so many and one more
_MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
_BLENDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": color.brightened,
    "color": color.saturated,
    "contrast": color.contrasted,
    "sharpness": color.sharpened,
}
_OTHERS = ("posterize", "solarize", "auto_contrast", "equalize")
_SMALL = 150 / 331  # share of an image's side that a shift is at most, in the papers' first setting


@dataclass(frozen=True)
class _Range:
    """The strongest of each operation: shear as a slope, a turn in degrees, a shift in pixels, a blend, bits cut."""

    shear: float
    turn: float
    shift: float | None
    blend: float
    bits: int


_NARROW = _Range(shear=0.3, turn=30.0, shift=None, blend=0.9, bits=4)
_WIDE = _Range(shear=0.99, turn=135.0, shift=32.0, blend=0.99, bits=6)


@dataclass(frozen=True)
class RandAugment(Operation):
    """`operations` of the list one after the other, all at one `magnitude` (Cubuk et al. 2020, arXiv:1909.13719).

    operations  how many an image gets, up to 8
    magnitude   0 to 30
    """

    operations: int = 2
    magnitude: int = 9

    draws: ClassVar[int] = 16
    on_levels: ClassVar[bool] = True
    needs_white: ClassVar[bool] = True

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Draws (B, 16): which and which way, for each operation."""
        strength = self._strength(draws)
        for own in self._own_draws(draws):
            images = _changed(images, own, strength, _NARROW)
        return images

    def motions(self, draws: Tensor, shape: tuple[int, int, int]) -> Sequence[Motion]:
        """One for each operation; images that are not moved by it stay."""
        strength = self._strength(draws)
        return [_motion(own, strength, _NARROW, shape) for own in self._own_draws(draws)]

    def _strength(self, draws: Tensor) -> Tensor:
        return torch.full((len(draws),), self.magnitude, dtype=torch.int64, device=draws.device)

    def _own_draws(self, draws: Tensor) -> list[Tensor]:
        """(B, 2) of each operation."""
        return [draws[:, 2 * number : 2 * number + 2] for number in range(self.operations)]


@dataclass(frozen=True)
class TrivialAugment(Operation):
    """One operation of the list at a random magnitude, from wide ranges (Müller & Hutter 2021, arXiv:2103.10158).

    A shift is 32 pixels at most, as there, and less than half of a small image.
    """

    draws: ClassVar[int] = 3
    on_levels: ClassVar[bool] = True
    needs_white: ClassVar[bool] = True

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Draws (B, 3): which, which way, how strong."""
        return _changed(images, draws[:, :2], self._strength(draws), _WIDE)

    def motions(self, draws: Tensor, shape: tuple[int, int, int]) -> Sequence[Motion]:
        """One; images that are not moved by their operation stay."""
        return [_motion(draws[:, :2], self._strength(draws), _WIDE, shape)]

    def _strength(self, draws: Tensor) -> Tensor:
        return (draws[:, 2] * (_STEPS + 1)).long()


def names(channels: int) -> tuple[str, ...]:
    """The operations that images with so many channels choose from; without three there are no colors to change."""
    blends = [name for name in _BLENDS if name != "color" or channels == 3]
    return ("identity", *_MOVES, *blends, *_OTHERS)


def _changed(images: Tensor, draws: Tensor, magnitude: Tensor, limits: _Range) -> Tensor:
    """One operation for each image: draws (B, 2), magnitude (B,) int64 in 0..30."""
    known = names(images.shape[1])
    which, signed = _choices(draws, magnitude, known)
    found = images.clone()
    members, moving = _moves(which, known, signed, limits, (images.shape[2], images.shape[3]))
    if len(members):
        found[members] = warped(images[members], moving)
    for name in (*(name for name in _BLENDS if name in known), *_OTHERS):
        members = (which == known.index(name)).nonzero()[:, 0]
        if len(members):
            found[members] = _one_color(name, images[members], signed[members], magnitude[members], limits)
    return found


def _choices(draws: Tensor, magnitude: Tensor, known: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """(number of each image's operation (B,) int64, its strength in [-1, 1] (B,))."""
    share = wide(magnitude) / _STEPS
    return (draws[:, 0] * len(known)).long(), torch.where(draws[:, 1] < 0.5, -share, share)


def _motion(draws: Tensor, magnitude: Tensor, limits: _Range, shape: tuple[int, int, int]) -> Motion:
    """How the images of `shape` (C, H, W) move in `_changed`."""
    known, size = names(shape[0]), shape[1:]
    which, signed = _choices(draws, magnitude, known)
    found = identities(signed, len(draws))
    members, moving = _moves(which, known, signed, limits, size)
    found[members] = moving
    return Motion(found, size, size)


def _moves(
    which: Tensor, known: tuple[str, ...], signed: Tensor, limits: _Range, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The images that are moved, and the matrix of each; both empty where none is."""
    is_one = {name: wide(which == known.index(name)) for name in _MOVES}
    members = sum(is_one.values(), torch.zeros_like(signed)).nonzero()[:, 0]
    if not len(members):
        return members, signed.new_empty((0, 2, 3))
    mine = {name: (flags * signed)[members] for name, flags in is_one.items()}
    height, width = size
    far = [_SMALL * side if limits.shift is None else min(limits.shift, _SMALL * side) for side in (width, height)]
    found = matrices(
        angle=mine["rotate"] * limits.turn,
        right=(mine["translate_x"] * far[0]).trunc(),
        down=(mine["translate_y"] * far[1]).trunc(),
        shear_x=_slope(mine["shear_x"] * limits.shear),
        shear_y=_slope(mine["shear_y"] * limits.shear),
    )
    # A shear leaves the upper left corner where it is, as in the papers' code; `matrices` leaves the middle.
    found[:, 0, 2] += (found[:, 0, 1] * (height / 2)) * is_one["shear_x"][members]
    found[:, 1, 2] += (found[:, 1, 0] * (width / 2)) * is_one["shear_y"][members]
    return members, found


def _one_color(name: str, images: Tensor, signed: Tensor, magnitude: Tensor, limits: _Range) -> Tensor:
    """A change of colors, the same for all `images`."""
    if name in _BLENDS:
        return _BLENDS[name](images, (1 + signed * limits.blend).float())
    if name == "posterize":
        return color.posterized(images, 8 - (wide(magnitude) * limits.bits / _STEPS).round().long())
    if name == "solarize":
        return color.solarized(images, (LEVELS * (1 - wide(magnitude) / _STEPS)).float())
    return color.auto_contrasted(images) if name == "auto_contrast" else color.equalized(images)


def _slope(slopes: Tensor) -> Tensor:
    """Slopes of shears -> their angles in degrees."""
    return slopes.atan().rad2deg()
