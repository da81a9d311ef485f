"""Pixels to numbers of mean 0 and deviation 1, as measured on training images.

Symbols: B images, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import Affine

WHITE = 255  # pixel values run from 0 to 255
_AT_A_TIME = 1 << 20  # pixels, which bincount makes eight bytes of each


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each channel, as shares of white: C numbers each."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def normalization(self, height: int, width: int) -> Affine:
        """The map that gives each channel mean 0 and deviation 1; a channel of one value keeps its deviation.

        Its tensors have the full shape (C, H, W) with the channels last in memory: broadcasting one number a channel
        over images that are stored so would cost twice the time.
        """
        std = torch.tensor([value if value > 0 else 1.0 for value in self.std], dtype=torch.float64)
        scale, shift = 1 / (WHITE * std), -torch.tensor(self.mean, dtype=torch.float64) / std
        return Affine(_spread(scale, height, width), _spread(shift, height, width))


def moments(images: Iterable[Tensor]) -> Moments:
    """Moments of uint8 images that come as (B, C, H, W); exact and whatever their order, from a count of each value."""
    counts: NDArray[np.int64] | None = None
    for some in images:
        if counts is None:
            counts = np.zeros((some.shape[1], WHITE + 1), dtype=np.int64)
        for channel in range(some.shape[1]):
            flat = some[:, channel].reshape(-1).numpy()
            for start in range(0, len(flat), _AT_A_TIME):
                counts[channel] += np.bincount(flat[start : start + _AT_A_TIME], minlength=WHITE + 1)
    if counts is None:
        raise ValueError("there are no images to measure")
    values = np.arange(WHITE + 1) / WHITE
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    std = np.sqrt((shares * (values[None, :] - mean[:, None]) ** 2).sum(axis=1))
    return Moments(tuple(map(float, mean)), tuple(map(float, std)))


def _spread(numbers: Tensor, height: int, width: int) -> Tensor:
    """(C,) -> (C, H, W) float32, the channels last in memory."""
    return numbers.float().expand(height, width, -1).contiguous().permute(2, 0, 1)
