"""Random changes to training images, each a function of (seed, epoch, sample): no batch or worker changes them.

Symbols: B samples, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.runtime.seed import uniforms


def augmented(images: Tensor, rows: Tensor, kind: str, pad: int, seed: int, epoch: int) -> Tensor:
    """(B, C, H, W) -> the same shape and type. `kind` is none, crop or crop_flip; `rows` (B,) number the samples."""
    if kind == "none":
        return images
    draws = uniforms(seed, epoch, rows, 3)
    shifted = random_shift(images, draws[:, :2], pad)
    return random_flip(shifted, draws[:, 2]) if kind == "crop_flip" else shifted


def random_shift(images: Tensor, draws: Tensor, pad: int) -> Tensor:
    """Pad with zeros and cut the old size out again: (B, C, H, W), draws (B, 2) in [0, 1) -> (B, C, H, W)."""
    size = images.shape[2:]
    top, left = (draws * (2 * pad + 1)).long().unbind(dim=1)
    windows = F.pad(images, (pad, pad, pad, pad)).unfold(2, size[0], 1).unfold(3, size[1], 1)
    return windows[torch.arange(len(images), device=images.device), :, top, left]


def random_flip(images: Tensor, draws: Tensor) -> Tensor:
    """Mirror left to right where draws (B,) < 0.5: (B, C, H, W) -> (B, C, H, W)."""
    return torch.where(draws[:, None, None, None] < 0.5, images.flip(3), images)
