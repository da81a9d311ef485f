"""Patches of photos, and the same patches in a lower resolution.

Symbols: P patches of a photo, C channels, S side of a patch in pixels, f the factor between the resolutions, H and W
height and width in pixels.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.images.normalization import WHITE

DOWNSCALES = ("bicubic", "area")


def patches(photo: Tensor, side: int) -> Tensor:
    """(C, H, W) -> (P, C, S, S): squares beside each other, row after row; a rest at the edges is left out."""
    channels = photo.shape[0]
    found = photo.unfold(1, side, side).unfold(2, side, side)
    return found.permute(1, 2, 0, 3, 4).reshape(-1, channels, side, side).contiguous()


def regions(height: int, width: int, side: int, across: int) -> NDArray[np.int64]:
    """(P,) the number of the region of each patch of a photo: squares of `across` x `across` patches."""
    rows, columns = np.arange(height // side) // across, np.arange(width // side) // across
    found: NDArray[np.int64] = (rows[:, None] * (columns.max(initial=0) + 1) + columns[None]).ravel().astype(np.int64)
    return found


def downscaled(images: Tensor, factor: int, by: str) -> Tensor:
    """(P, C, f H, f W) uint8 -> (P, C, H, W) uint8.

    Args:
        images: Of a height and width that `factor` divides.
        factor: f.
        by: area, the mean of the f x f pixels; or bicubic, with the antialiasing of Pillow and of Matlab's imresize.

    Raises ValueError for another name, and for sides that the factor does not divide.
    """
    height, width = images.shape[-2:]
    if height % factor or width % factor:
        rule = f"factor={factor} must divide patch_size={height}"
        raise ValueError(f"{rule}. Set data.patch_size={max(1, height // factor) * factor}")
    numbers = images.float()
    if by == "area":
        found = F.avg_pool2d(numbers, factor)
    elif by == "bicubic":
        size = height // factor, width // factor
        found = F.interpolate(numbers, size, mode="bicubic", align_corners=False, antialias=True)
    else:
        raise ValueError(f"unknown downscale={by!r}; available: {', '.join(DOWNSCALES)}")
    return found.round().clamp(0, WHITE).to(torch.uint8)
