"""One pass over the images of a split that computes the statistics for the checks.

Symbols: N images of the split, K of them with a thumbnail, B images of a piece, C channels, H and W height and
width, L bins of a histogram.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import Split
from dlexp.data.columns import column_size
from dlexp.types import as_tensor

_PIECE, _NUMBERS = 256, 1 << 22  # images at a time, and at most this many numbers
_SIDE = 16  # side of a thumbnail in pixels
_BINS = 32
_BYTE = 255
_MARGIN = 0.03  # smallest step of brightness that counts, as a fraction of the contrast
_WEIGHTS = 1 << np.arange(64, dtype=np.uint64)


@dataclass(frozen=True)
class ImageScan:
    """Statistics of the images of a split.

    digests    (N,) 16 bytes each, equal for equal images
    is_flat    (N,) whether an image has a single color
    is_black   (N,) whether that color is 0
    is_finite  (N,) whether all values are finite
    thumbed    (K,) positions of the images with a hash and a thumbnail
    hashes     (K,) results of `difference_hash`
    thumbs     (K, 256) thumbnails of mean 0 and length 1, zeros for images of a single color
    low, high  (C, H, W) minimum and maximum of each pixel over the images
    mean, std  (C,) over all finite pixels of a channel
    histogram  (C, L) counts of pixels between `edges` (L + 1,), L at most 64; values outside are in the outer bins
    """

    digests: NDArray[np.bytes_]
    is_flat: NDArray[np.bool_]
    is_black: NDArray[np.bool_]
    is_finite: NDArray[np.bool_]
    thumbed: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    thumbs: NDArray[np.float32]
    low: Tensor
    high: Tensor
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    histogram: NDArray[np.int64]
    edges: NDArray[np.float64]


def scan_images(split: Split, white: float | None, most: int) -> ImageScan:
    """Compute the statistics of all images of `split`, reading them once, in pieces.

    white  the largest pixel value, for uint8 images
    most   largest number of thumbnails, of evenly spread images
    Raises DataError for unreadable images.
    """
    count = len(split)
    thumbed = np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)
    # Filled in place: small arrays from every piece would fragment the memory.
    digests = np.empty(count, dtype="S16")
    is_flat, is_black, is_finite = np.empty((3, count), dtype=np.bool_)
    hashes, thumbs = np.empty(len(thumbed), dtype=np.uint64), np.empty((len(thumbed), _SIDE**2), dtype=np.float32)
    sums: _PixelSums | None = None
    start, filled = 0, 0
    piece = max(1, min(_PIECE, _NUMBERS // max(1, column_size(split.inputs) or 1)))
    for read in split.inputs.read(torch.arange(count).split(piece)):
        images = as_tensor(read).contiguous()
        flat, part = images.flatten(1), slice(start, start + len(images))
        low, high = flat.amin(dim=1), flat.amax(dim=1)
        digests[part] = _digests(flat)
        is_flat[part] = (low == high).numpy()
        is_black[part] = ((low == 0) & (high == 0)).numpy()
        is_finite[part] = torch.isfinite(flat).all(dim=1).numpy()
        sums = sums or _PixelSums(images.shape[1:], images.dtype, white)
        sums.add(images if is_finite[part].all() else images[torch.from_numpy(is_finite[part])])
        inside = thumbed[(thumbed >= part.start) & (thumbed < part.stop)] - start
        if len(inside):
            small = images[torch.from_numpy(inside)].float().mean(dim=1, keepdim=True).nan_to_num()
            hashes[filled : filled + len(inside)] = difference_hash(small)
            thumbs[filled : filled + len(inside)] = thumbnail(small)
        start, filled = part.stop, filled + len(inside)
    sums = sums or _PixelSums(split.inputs.shape or (1, 0, 0), torch.uint8, white)  # of no images
    return ImageScan(digests, is_flat, is_black, is_finite, thumbed, hashes, thumbs, *sums.results())


def difference_hash(gray: Tensor) -> NDArray[np.uint64]:
    """(B, 1, H, W) -> (B,): one bit for each of 8 x 8 squares, set if it is darker than the one to its right.

    The dHash of N. Krawetz (2013), with a margin, since the bits of a plain area would be noise.
    """
    squares = F.adaptive_avg_pool2d(gray, (8, 9))[:, 0]
    margin = _MARGIN * (squares.amax(dim=(1, 2)) - squares.amin(dim=(1, 2)))[:, None, None]
    bits = (squares[:, :, 1:] - squares[:, :, :-1] > margin).flatten(1).numpy()
    found: NDArray[np.uint64] = (bits * _WEIGHTS).sum(axis=1, dtype=np.uint64)
    return found


def thumbnail(gray: Tensor) -> NDArray[np.float32]:
    """(B, 1, H, W) -> (B, 256) of mean 0 and length 1, so that the dot product of two is their correlation."""
    small = F.adaptive_avg_pool2d(gray, (_SIDE, _SIDE)).flatten(1)
    small = small - small.mean(dim=1, keepdim=True)
    length = small.norm(dim=1, keepdim=True)
    is_plain = length <= 1e-4 * (gray.flatten(1).abs().amax(dim=1, keepdim=True) + 1e-30)
    found: NDArray[np.float32] = torch.where(is_plain, 0.0, small / length.clamp_min(1e-30)).numpy()
    return found


def _digests(flat: Tensor) -> NDArray[np.bytes_]:
    return np.array([hashlib.blake2b(image.data, digest_size=16).digest() for image in flat.numpy()], dtype="S16")


class _PixelSums:
    """Accumulates pixel statistics over pieces; uint8 values are counted by level, in a fifth of the time of sums."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, white: float | None) -> None:
        self._low = torch.full(shape, torch.inf)
        self._high = torch.full(shape, -torch.inf)
        self._count = 0
        self._sums = np.zeros((2, shape[0]))
        self._are_levels = dtype == torch.uint8
        self._white = int(white or _BYTE) if self._are_levels else 0
        self._edges = np.empty(0)
        self._bins = np.zeros((shape[0], _BYTE + 1 if self._are_levels else _BINS), dtype=np.int64)

    def add(self, images: Tensor) -> None:
        """Add images (B, C, H, W), all finite."""
        if not len(images):
            return
        low, high = images.amin(dim=0).float(), images.amax(dim=0).float()
        self._low, self._high = torch.minimum(self._low, low), torch.maximum(self._high, high)
        self._count += len(images) * images[0, 0].numel()
        if not len(self._edges) and not self._are_levels:
            first, last = float(low.min()), float(high.max())
            self._edges = np.linspace(first, last if last > first else first + 1, _BINS + 1)
        for channel, pixels in enumerate(images.unbind(dim=1)):
            if self._are_levels:
                self._bins[channel] += np.bincount(pixels.numpy().ravel(), minlength=_BYTE + 1)
                continue
            numbers = pixels.double()
            self._sums[:, channel] += float(numbers.sum()), float(numbers.square().sum())
            shares = (numbers - self._edges[0]) / (self._edges[-1] - self._edges[0])
            places = (shares * _BINS).floor().clamp(0, _BINS - 1).long().numpy()
            self._bins[channel] += np.bincount(places.ravel(), minlength=_BINS)

    def results(self) -> tuple[Any, ...]:
        """low, high, mean, std, histogram, edges."""
        sums, histogram, edges = self._sums, self._bins, self._edges
        if self._are_levels:
            levels = np.arange(_BYTE + 1.0)
            sums = np.stack([histogram @ levels, histogram @ levels**2])
            edges = _edges_of_levels(self._white)
            numbers = np.searchsorted(edges, levels.clip(0, self._white)) - 1
            histogram = np.stack([np.bincount(numbers, some, len(edges) - 1) for some in histogram]).astype(np.int64)
        mean, square = sums / max(1, self._count)
        std = np.sqrt(np.maximum(square - mean**2, 0))
        return self._low, self._high, mean, std, histogram, edges if len(edges) else np.linspace(0, 1, _BINS + 1)


def _edges_of_levels(white: int) -> NDArray[np.float64]:
    """Edges of bins with equally many of the whole numbers 0 to `white`."""
    return np.linspace(-0.5, white + 0.5, (white + 1 if white < 2 * _BINS else _BINS) + 1)
