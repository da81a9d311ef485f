"""Normalization of pixels to mean 0 and deviation 1, with moments of the training images.

Symbols: B images, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.preprocess import Affine
from dlexp.runtime.rounding import rounding

WHITE = 255  # pixel values run from 0 to 255
_AT_A_TIME = 1 << 20  # pixels, which bincount converts to eight bytes each


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each channel, C numbers each: as fractions of white, or in the images' units."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def normalization(self, height: int, width: int, white: int = WHITE) -> Affine:
        """The affine map to mean 0 and deviation 1; a constant channel keeps its scale.

        white  the pixel value of which mean and deviation are fractions

        Its tensors have the full shape (C, H, W) in channels-last memory format: broadcasting one number per channel
        over images in that format takes twice the time.
        """
        std = torch.tensor([value if value > 0 else 1.0 for value in self.std], dtype=torch.float64)
        scale, shift = 1 / (white * std), -torch.tensor(self.mean, dtype=torch.float64) / std
        return Affine(_spread(scale, height, width), _spread(shift, height, width))


def given_moments(mean: Sequence[float] | None, std: Sequence[float] | None, channels: int) -> Moments | None:
    """The moments of the configuration; None if it has none.

    Raises ValueError for mean or std without the other, for a length other than `channels`, and for std <= 0.
    """
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise ValueError(f"mean={mean}, std={std}: must be set together, or both null to measure them")
    for name, numbers in (("mean", mean), ("std", std)):
        if len(numbers) != channels:
            raise ValueError(f"{name}={list(numbers)}: must have {channels} numbers, one per channel")
    if min(std) <= 0:
        raise ValueError(f"std={list(std)}: must be above 0")
    return Moments(tuple(map(float, mean)), tuple(map(float, std)))


def moments(images: Iterable[Tensor]) -> Moments:
    """The moments of images (B, C, H, W): of uint8 as fractions of white, of float32 in their own units.

    Those of uint8 are exact and independent of the order, from counts of each value.
    """
    some = iter(images)
    first = next(some, None)
    if first is None:
        raise ValueError("no images to measure")
    together = chain([first], some)
    return _of_pixels(together) if first.dtype == torch.uint8 else _of_numbers(together)


def _of_numbers(images: Iterator[Tensor]) -> Moments:
    """Moments merged over the batches in float64 (Chan, Golub and LeVeque 1983)."""
    count, mean, squares, largest = 0, np.zeros(1), np.zeros(1), np.zeros(1)
    for some in images:
        numbers = some.double().transpose(0, 1).flatten(1).numpy()
        new, here = numbers.shape[1], numbers.mean(axis=1)
        delta = here - mean
        squares = squares + ((numbers - here[:, None]) ** 2).sum(axis=1) + delta**2 * count * new / (count + new)
        mean = mean + delta * new / (count + new)
        count += new
        largest = np.maximum(largest, np.abs(numbers).max(axis=1))
    std = np.sqrt(squares / count)
    std = np.where(std > rounding(largest), std, 0.0)  # rounding may leave a tiny deviation of a constant channel
    return Moments(tuple(map(float, mean)), tuple(map(float, std)))


def _of_pixels(images: Iterator[Tensor]) -> Moments:
    """Exact moments of uint8 images, as fractions of white."""
    counts: NDArray[np.int64] = np.zeros((0, WHITE + 1), dtype=np.int64)
    for some in images:
        if not len(counts):
            counts = np.zeros((some.shape[1], WHITE + 1), dtype=np.int64)
        for channel in range(some.shape[1]):
            flat = some[:, channel].reshape(-1).numpy()
            for start in range(0, len(flat), _AT_A_TIME):
                counts[channel] += np.bincount(flat[start : start + _AT_A_TIME], minlength=WHITE + 1)
    values = np.arange(WHITE + 1) / WHITE
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    std = np.sqrt((shares * (values[None, :] - mean[:, None]) ** 2).sum(axis=1))
    return Moments(tuple(map(float, mean)), tuple(map(float, std)))


def _spread(numbers: Tensor, height: int, width: int) -> Tensor:
    """(C,) -> (C, H, W) float32, in channels-last memory format."""
    return numbers.float().expand(height, width, -1).contiguous().permute(2, 0, 1)
