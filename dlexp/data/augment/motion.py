"""Motions: where the pixels of moved images come from, and the same motion for what lies on an image.

Symbols: B samples, H and W height and width in pixels before a motion, H' and W' after it, T boxes of the image with
most of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dlexp.types import Field, Sequences, as_tensor

_SMALLEST = 1e-3  # pixels that are left of a side of a box, below which it is gone


@dataclass(frozen=True)
class Motion:
    """A motion of images that is affine within each.

    matrices  (B, 2, 3): from a place (x, y, 1) in the moved image to the old one's, in pixels from the middle
    old       (H, W)
    new       (H', W')
    """

    matrices: Tensor
    old: tuple[int, int]
    new: tuple[int, int]

    def sources(self) -> Tensor:
        """(B, H', W') int64: the number of the nearest old pixel, row after row; -1 for none."""
        height, width = self.new
        x, y = (_centers(size, self.matrices) for size in (width, height))
        places = []
        for number, size in ((0, self.old[1]), (1, self.old[0])):
            along_x, along_y, offset = self.matrices[:, number, :, None, None].unbind(dim=1)
            place = along_x * x + along_y * y[:, None] + offset + (size - 1) / 2
            places.append(place.round().long())
        column, row = places
        is_inside = (column >= 0) & (column < self.old[1]) & (row >= 0) & (row < self.old[0])
        return torch.where(is_inside, row * self.old[1] + column, -1)


def move_masks(masks: Tensor, motion: Motion, fill: int) -> Tensor:
    """(B, ..., H, W) of any type -> (B, ..., H', W'): the nearest pixel of each; `fill` where there is none.

    Raises ValueError for masks of another size than the images.
    """
    if tuple(masks.shape[-2:]) != motion.old:
        rule = f"masks must have the size of their images, {motion.old}, got {tuple(masks.shape[-2:])}"
        raise ValueError(rule)
    sources = motion.sources().flatten(1)
    flat = masks.flatten(-2)
    sources = sources.reshape(len(masks), *(1,) * (flat.dim() - 2), -1).expand(*flat.shape[:-1], -1)
    moved = flat.gather(-1, sources.clamp(min=0)).masked_fill(sources < 0, fill)
    return moved.reshape(*masks.shape[:-2], *motion.new)


def move_images(images: Tensor, motion: Motion) -> Tensor:
    """(B, C, f H, f W) of a whole factor f -> (B, C, f H', f W'), black where there is no pixel.

    Exact for shifts by whole pixels and for mirrors. Raises ValueError for images of another size.
    """
    factor = images.shape[-2] // motion.old[0]
    if tuple(images.shape[-2:]) != tuple(factor * side for side in motion.old):
        rule = f"must be a multiple of the size of their images, {motion.old}, got {tuple(images.shape[-2:])}"
        raise ValueError(f"target images {rule}")
    matrices = torch.cat([motion.matrices[:, :, :2], factor * motion.matrices[:, :, 2:]], dim=2)
    old, new = ((factor * height, factor * width) for height, width in (motion.old, motion.new))
    return move_masks(images, Motion(matrices, old, new), 0)


def move_boxes(boxes: Sequences, motion: Motion) -> Sequences:
    """(B, T, 4 or more): left, top, right, bottom, and what else a box has -> the same, moved with the images.

    A turned box becomes the smallest upright one around it. What lies outside of the moved image is cut off; a box of
    which nothing is left is removed.
    """
    sides = boxes.values[..., :4].to(motion.matrices.dtype)
    middle = sides.new_tensor([motion.old[1], motion.old[0]]) / 2
    left, top, right, bottom = sides.unbind(dim=-1)
    corners = torch.stack([left, top, right, top, left, bottom, right, bottom], dim=-1).unflatten(-1, (4, 2)) - middle
    back, offset = motion.matrices[:, :, :2], motion.matrices[:, :, 2]
    forward = torch.linalg.inv(back)[:, None, None]
    moved = (forward @ (corners - offset[:, None, None])[..., None])[..., 0]
    size = sides.new_tensor([motion.new[1], motion.new[0]])
    moved = moved + size / 2
    low = moved.amin(dim=-2).clamp(min=0)
    high = torch.minimum(moved.amax(dim=-2), size)
    is_left = boxes.mask & ((high - low) > _SMALLEST).all(dim=-1)
    values = torch.cat([torch.cat([low, high], dim=-1).to(boxes.values.dtype), boxes.values[..., 4:]], dim=-1)
    return _kept(values, is_left)


def move_targets(targets: Field, motion: Motion, geometry: str, fill: int) -> Field:
    """Targets of the geometry "mask", "image" or "boxes", moved with the images that they belong to."""
    if geometry == "image":
        return move_images(as_tensor(targets), motion)
    if geometry == "mask":
        return move_masks(as_tensor(targets), motion, fill)
    if not isinstance(targets, Sequences):
        raise TypeError(f"boxes must be Sequences, got {type(targets).__name__}")
    return move_boxes(targets, motion)


def identities(like: Tensor, count: int) -> Tensor:
    """(B, 2, 3) matrices that leave every pixel where it is, of the type and device of `like`."""
    return torch.eye(2, 3, dtype=like.dtype, device=like.device).repeat(count, 1, 1)


def _kept(values: Tensor, is_kept: Tensor) -> Sequences:
    """The positions of (B, T, ...) that are kept, moved to the front of each sequence, padded with zeros."""
    lengths = is_kept.sum(dim=1)
    order = is_kept.byte().sort(dim=1, descending=True, stable=True).indices
    longest = int(lengths.max()) if len(lengths) else 0
    front = values.gather(1, order[..., None].expand_as(values))[:, :longest]
    is_padding = torch.arange(longest, device=values.device) >= lengths[:, None]
    return Sequences(front.masked_fill(is_padding[..., None], 0), lengths)


def _centers(size: int, like: Tensor) -> Tensor:
    """Middles of pixels along an axis, from the middle of the image."""
    return torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
