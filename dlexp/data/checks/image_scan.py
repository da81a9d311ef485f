"""One pass over the images of a split, of which numbers remain and no images: what the checks need.

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
from dlexp.data.columns import size_of
from dlexp.types import as_tensor

_PIECE, _NUMBERS = 256, 1 << 22  # images at a time, and of large ones so many numbers
_SIDE = 16  # pixels of a thumbnail's side
_BINS = 32
_BYTE = 255
_MARGIN = 0.03  # share of an image's contrast that a step of brightness is more than
_WEIGHTS = 1 << np.arange(64, dtype=np.uint64)


@dataclass(frozen=True)
class ImageLook:
    """What a pass over a split saw.

    digests    (N,) 16 bytes each: equal images have equal ones
    is_flat    (N,) whether an image is of one colour
    is_black   (N,) whether that colour is 0
    is_finite  (N,) whether all of its numbers are
    thumbed    (K,) positions of the images with a hash and a thumbnail
    hashes     (K,) of `difference_hash`
    thumbs     (K, 256) of mean 0 and length 1, zeros for images of one colour
    low, high  (C, H, W) extremes of each pixel over the images
    mean, std  (C,) of all finite pixels of a channel
    histogram  (C, L) pixels between `edges` (L + 1,), L of 64 at most; what lies outside is in the first and the last
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


def look_at_images(split: Split, white: float | None, most: int) -> ImageLook:
    """Read all images of `split` once, a few at a time.

    white  the largest value of a pixel where pixels are bytes
    most   thumbnails that are kept, of images evenly spread
    Raises DataError for images that cannot be read.
    """
    count = len(split)
    thumbed = np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)
    # Filled in place: small arrays kept from every piece would hold the memory between them.
    digests = np.empty(count, dtype="S16")
    is_flat, is_black, is_finite = np.empty((3, count), dtype=np.bool_)
    hashes, thumbs = np.empty(len(thumbed), dtype=np.uint64), np.empty((len(thumbed), _SIDE**2), dtype=np.float32)
    seen: _Seen | None = None
    start, kept = 0, 0
    piece = max(1, min(_PIECE, _NUMBERS // max(1, size_of(split.inputs) or 1)))
    for read in split.inputs.read(torch.arange(count).split(piece)):
        images = as_tensor(read).contiguous()
        flat, part = images.flatten(1), slice(start, start + len(images))
        low, high = flat.amin(dim=1), flat.amax(dim=1)
        digests[part] = _digests(flat)
        is_flat[part] = (low == high).numpy()
        is_black[part] = ((low == 0) & (high == 0)).numpy()
        is_finite[part] = torch.isfinite(flat).all(dim=1).numpy()
        seen = seen or _Seen(images.shape[1:], images.dtype, white)
        seen.add(images if is_finite[part].all() else images[torch.from_numpy(is_finite[part])])
        inside = thumbed[(thumbed >= part.start) & (thumbed < part.stop)] - start
        if len(inside):
            small = images[torch.from_numpy(inside)].float().mean(dim=1, keepdim=True).nan_to_num()
            hashes[kept : kept + len(inside)] = difference_hash(small)
            thumbs[kept : kept + len(inside)] = thumbnail(small)
        start, kept = part.stop, kept + len(inside)
    seen = seen or _Seen(split.inputs.shape or (1, 0, 0), torch.uint8, white)  # of no images
    return ImageLook(digests, is_flat, is_black, is_finite, thumbed, hashes, thumbs, *seen.told())


def difference_hash(grey: Tensor) -> NDArray[np.uint64]:
    """(B, 1, H, W) -> (B,): bit by bit whether each of 8 x 8 squares is darker than the one to its right.

    The dHash of N. Krawetz (2013) with a margin: on plain ground its bits would be those of the noise.
    """
    squares = F.adaptive_avg_pool2d(grey, (8, 9))[:, 0]
    margin = _MARGIN * (squares.amax(dim=(1, 2)) - squares.amin(dim=(1, 2)))[:, None, None]
    bits = (squares[:, :, 1:] - squares[:, :, :-1] > margin).flatten(1).numpy()
    found: NDArray[np.uint64] = (bits * _WEIGHTS).sum(axis=1, dtype=np.uint64)
    return found


def thumbnail(grey: Tensor) -> NDArray[np.float32]:
    """(B, 1, H, W) -> (B, 256) of mean 0 and length 1, so that a product of two is their correlation."""
    small = F.adaptive_avg_pool2d(grey, (_SIDE, _SIDE)).flatten(1)
    small = small - small.mean(dim=1, keepdim=True)
    length = small.norm(dim=1, keepdim=True)
    is_plain = length <= 1e-4 * (grey.flatten(1).abs().amax(dim=1, keepdim=True) + 1e-30)
    found: NDArray[np.float32] = torch.where(is_plain, 0.0, small / length.clamp_min(1e-30)).numpy()
    return found


def _digests(flat: Tensor) -> NDArray[np.bytes_]:
    return np.array([hashlib.blake2b(image.data, digest_size=16).digest() for image in flat.numpy()], dtype="S16")


class _Seen:
    """Sums over the pixels of many pieces; whole numbers are counted level by level, which costs a fifth of summing."""

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
        """(B, C, H, W), all finite."""
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

    def told(self) -> tuple[Any, ...]:
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
    """Edges of bins that hold equally many whole numbers of 0 to `white`."""
    return np.linspace(-0.5, white + 0.5, (white + 1 if white < 2 * _BINS else _BINS) + 1)
