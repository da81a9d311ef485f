"""Random changes to training images, each a function of (seed, epoch, sample): no batch or worker changes them.

Symbols: B samples, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.runtime.seed import uniforms

_LARGE = 1024  # numbers in an image from which on it is cheaper to copy each image than to gather every pixel


@dataclass(frozen=True)
class Change:
    """The random changes of one epoch, as plain values that a worker process can be sent."""

    kind: str
    pad: int
    seed: int
    epoch: int

    def __call__(self, images: Tensor, rows: Tensor) -> Tensor:
        """(B, C, H, W) and (B,) sample numbers -> the changed images."""
        return augmented(images, rows, self.kind, self.pad, self.seed, self.epoch)


def augmented(images: Tensor, rows: Tensor, kind: str, pad: int, seed: int, epoch: int) -> Tensor:
    """(B, C, H, W) -> the same shape and type. `kind` is none, crop or crop_flip; `rows` (B,) number the samples."""
    if kind == "none":
        return images
    draws = uniforms(seed, epoch, rows, 3)
    if images.device.type == "cpu" and images[:1].numel() >= _LARGE:
        return one_by_one(images, draws, pad, kind == "crop_flip")
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


def one_by_one(images: Tensor, draws: Tensor, pad: int, flip: bool) -> Tensor:
    """What `random_shift` and then, if `flip`, `random_flip` give, by one copy an image: several times faster on a CPU.

    (B, C, H, W), draws (B, 3) in [0, 1) -> (B, C, H, W), in memory with the channels last when `images` are so.
    """
    is_last = images.is_contiguous(memory_format=torch.channels_last)
    height, width = images.shape[2:]
    pixels = images.permute(0, 2, 3, 1).numpy() if is_last else images.numpy()
    margin = [(0, 0), (pad, pad), (pad, pad), (0, 0)] if is_last else [(0, 0), (0, 0), (pad, pad), (pad, pad)]
    padded, found = np.pad(pixels, margin), np.empty_like(pixels)
    mirror = np.s_[:, ::-1] if is_last else np.s_[:, :, ::-1]
    corners = (draws[:, :2] * (2 * pad + 1)).long().tolist()
    for number, ((top, left), is_flipped) in enumerate(zip(corners, (draws[:, 2] < 0.5).tolist(), strict=True)):
        rows, columns = slice(top, top + height), slice(left, left + width)
        window = padded[number, rows, columns] if is_last else padded[number, :, rows, columns]
        found[number] = window[mirror] if flip and is_flipped else window
    changed = torch.from_numpy(found)
    return changed.permute(0, 3, 1, 2) if is_last else changed
