"""Rotations, shears, shifts and zooms of images: where each pixel comes from, and one interpolation.

Bilinear throughout; what comes from outside the image is black, as in torchvision. Matrices are computed in float64 and
grids term by term, so that a sample's bits do not depend on the samples beside it.

Symbols: B samples, C channels, H and W height and width in pixels, D random numbers. Angles are in degrees and turn
clockwise as one looks at the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.data.augment.motion import Motion, identities
from dlexp.data.augment.operations import Operation


@dataclass(frozen=True)
class Rotate(Operation):
    """Turn about the middle by -degrees to +degrees."""

    degrees: float = 15.0

    draws: ClassVar[int] = 1
    on_levels: ClassVar[bool] = True

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Draws (B, 1): the angle."""
        return warped(images, self._matrices(draws))

    def motions(self, draws: Tensor, shape: tuple[int, int, int]) -> Sequence[Motion]:
        """One: a turn."""
        return [Motion(self._matrices(draws), shape[1:], shape[1:])]

    def _matrices(self, draws: Tensor) -> Tensor:
        return matrices(angle=scale_draws(draws[:, 0], -self.degrees, self.degrees))


@dataclass(frozen=True)
class RandomAffine(Operation):
    """Turn, shift, zoom and shear at once about the middle, as torchvision's RandomAffine.

    degrees    largest angle
    translate  largest shift, as a share of width and height
    scale      smallest and largest zoom
    shear      largest angle of a shear along x and, drawn apart, along y
    """

    degrees: float = 0.0
    translate: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0

    draws: ClassVar[int] = 6
    on_levels: ClassVar[bool] = True

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Draws (B, 6): angle, shift in x and in y, zoom, shear along x and along y."""
        return warped(images, self._matrices(draws, images.shape[2], images.shape[3]))

    def motions(self, draws: Tensor, shape: tuple[int, int, int]) -> Sequence[Motion]:
        """One of all together."""
        return [Motion(self._matrices(draws, *shape[1:]), shape[1:], shape[1:])]

    def _matrices(self, draws: Tensor, height: int, width: int) -> Tensor:
        far = self.translate
        return matrices(
            angle=scale_draws(draws[:, 0], -self.degrees, self.degrees),
            # Whole pixels, as torchvision shifts: a fraction of a pixel would only blur.
            right=(scale_draws(draws[:, 1], -far, far) * width).round(),
            down=(scale_draws(draws[:, 2], -far, far) * height).round(),
            zoom=scale_draws(draws[:, 3], *self.scale),
            shear_x=scale_draws(draws[:, 4], -self.shear, self.shear),
            shear_y=scale_draws(draws[:, 5], -self.shear, self.shear),
        )


@dataclass(frozen=True)
class ResizedCrop(Operation):
    """Stretch a rectangle of random area and shape over the whole image (Szegedy et al. 2015, arXiv:1409.4842).

    scale  smallest and largest share of the area, in (0, 1]
    ratio  smallest and largest width over height
    size   height and width of what it is stretched to; 0 for those of the image
    A rectangle that is too long for the image is cut to its side; torchvision's RandomResizedCrop draws again.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    size: int = 0

    draws: ClassVar[int] = 4
    on_levels: ClassVar[bool] = True

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Draws (B, 4): area, shape, row, column."""
        return stretched(images, self._boxes(draws, images.shape[2], images.shape[3]), self.size)

    def motions(self, draws: Tensor, shape: tuple[int, int, int]) -> Sequence[Motion]:
        """One: the rectangle becomes the image."""
        old = shape[1:]
        new = (self.size, self.size) if self.size else old
        start, length = wide(self._boxes(draws, *old)).split(2, dim=1)  # (B, 2) each, rows and columns
        found = identities(start, len(draws))
        for row, axis in ((0, 1), (1, 0)):  # x is along columns
            found[:, row, row] = length[:, axis] / new[axis]
            found[:, row, 2] = start[:, axis] + length[:, axis] / 2 - old[axis] / 2
        return [Motion(found, old, new)]

    def _boxes(self, draws: Tensor, height: int, width: int) -> Tensor:
        """(B, 4): top, left, height and width of each rectangle."""
        area = height * width * scale_draws(draws[:, 0], *self.scale)
        shape = scale_draws(draws[:, 1], log(self.ratio[0]), log(self.ratio[1])).exp()
        tall = (area / shape).sqrt().round().clamp(1, height)
        broad = (area * shape).sqrt().round().clamp(1, width)
        top = (draws[:, 2] * (height - tall + 1)).floor()
        left = (draws[:, 3] * (width - broad + 1)).floor()
        return torch.stack([top, left, tall, broad], dim=1)


def scale_draws(draws: Tensor, low: float, high: float) -> Tensor:
    """Draws in [0, 1) -> numbers in [low, high), as exact as the device computes."""
    return low + (high - low) * wide(draws)


def wide(numbers: Tensor) -> Tensor:
    """Float64, so that what is rounded later is rounded alike; float32 on Apple's GPUs, which have nothing wider."""
    return numbers.to(torch.float32 if numbers.device.type == "mps" else torch.float64)


def matrices(
    *,
    angle: Tensor | float = 0.0,
    right: Tensor | float = 0.0,
    down: Tensor | float = 0.0,
    zoom: Tensor | float = 1.0,
    shear_x: Tensor | float = 0.0,
    shear_y: Tensor | float = 0.0,
) -> Tensor:
    """(B, 2, 3): from a place in the changed image to the place in the old one, in pixels from the middle.

    Each argument is (B,) or one number for all: angles in degrees, shifts in pixels. What it inverts is a zoom, then
    shears, a turn and a shift, with the conventions of torchvision's `affine`.
    """
    given = (angle, zoom, shear_x, shear_y, right, down)
    device = next((value.device for value in given if isinstance(value, Tensor)), None)
    parts = torch.broadcast_tensors(*(wide(torch.as_tensor(value, device=device)) for value in given))
    turn, grow, lean_x, lean_y, to_right, to_bottom = (part.reshape(-1) for part in parts)
    turn, lean_x, lean_y = (value.deg2rad() for value in (turn, lean_x, lean_y))
    along, across = (turn - lean_y).cos() / lean_y.cos(), (turn - lean_y).sin() / lean_y.cos()
    a, b = along, -along * lean_x.tan() - turn.sin()
    c, d = across, -across * lean_x.tan() + turn.cos()
    back = torch.stack([d, -b, -c, a], dim=1) / grow[:, None]
    offset_x = -(back[:, 0] * to_right + back[:, 1] * to_bottom)
    offset_y = -(back[:, 2] * to_right + back[:, 3] * to_bottom)
    return torch.stack([back[:, 0], back[:, 1], offset_x, back[:, 2], back[:, 3], offset_y], dim=1).reshape(-1, 2, 3)


def warped(images: Tensor, found: Tensor) -> Tensor:
    """(B, C, H, W) float32 and `matrices` (B, 2, 3) -> (B, C, H, W): every pixel from where its matrix says."""
    height, width = images.shape[2:]
    x, y = (torch.arange(size, device=images.device) - (size - 1) / 2 for size in (width, height))
    scaled = torch.stack([found[:, 0] * (2 / width), found[:, 1] * (2 / height)], dim=1).float()
    along_x, along_y, offset = scaled.unbind(dim=2)  # (B, 2) each
    across = along_x[:, :, None] * x
    down = along_y[:, :, None] * y + offset[:, :, None]
    return _sampled(images, across[:, :, None, :], down[:, :, :, None])


def stretched(images: Tensor, boxes: Tensor, size: int = 0) -> Tensor:
    """(B, C, H, W) float32 and boxes (B, 4), whole numbers top, left, height, width -> each box as the whole image.

    The result has the size of the images, or `size` squared.
    """
    height, width = images.shape[2:]
    top, left, tall, broad = wide(boxes).unbind(dim=1)
    from_x = _stretch(left, broad, width, size or width)
    from_y = _stretch(top, tall, height, size or height)
    none = torch.zeros_like
    across, down = torch.stack([from_x, none(from_x)], dim=1), torch.stack([none(from_y), from_y], dim=1)
    return _sampled(images, across[:, :, None, :], down[:, :, :, None])


def _stretch(start: Tensor, length: Tensor, axis: int, size: int) -> Tensor:
    """Where `size` pixels spread over a stretch of an axis of `axis` pixels come from, (B, size) in -1..1.

    No pixel is taken from outside of the stretch.
    """
    number = torch.arange(size, device=start.device, dtype=start.dtype)
    places = (number + 0.5)[None] * (length / size)[:, None] - 0.5
    places = start[:, None] + torch.minimum(places.clamp(min=0), (length - 1)[:, None])
    return ((2 * places + 1) / axis - 1).float()


def _sampled(images: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Each pixel from `across` (B, 2, 1, W) + `down` (B, 2, H, 1): x and y in -1..1, from edge to edge of the image."""
    grid = images.new_empty((len(images), down.shape[2], across.shape[3], 2))
    torch.add(across, down, out=grid.permute(0, 3, 1, 2))
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
