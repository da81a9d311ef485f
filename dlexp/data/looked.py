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

_PIECE, _NUMBERS = 256, 1 << 22  # images at a time, and of large ones so many numbers
_SIDE = 16  # pixels of a thumbnail's side
_BINS = 32
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

    white  the largest value of a whole number that is a pixel, None where only the images tell
    most   thumbnails that are kept, of images evenly spread
    Raises DataError for images that cannot be read.
    """
    count = len(split)
    thumbed = np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)
    positions = torch.arange(count)
    parts: list[tuple[NDArray[np.generic], ...]] = []
    seen = _Seen(split.inputs.shape[1:], white if split.inputs.dtype == torch.uint8 else None)
    start = 0
    piece = max(1, min(_PIECE, _NUMBERS // max(1, split.inputs[0].numel()))) if count else 1
    for images in split.read(positions.split(piece)):
        flat = images.flatten(1)
        low, high = flat.amin(dim=1), flat.amax(dim=1)
        is_finite = torch.isfinite(flat).all(dim=1)
        seen.add(images[is_finite])
        inside = thumbed[(thumbed >= start) & (thumbed < start + len(images))] - start
        small = images[torch.from_numpy(inside)].float().mean(dim=1, keepdim=True).nan_to_num()
        start += len(images)
        columns = (_digests(images), low == high, (low == 0) & (high == 0), is_finite)
        parts.append((*map(np.asarray, columns), difference_hash(small), thumbnail(small)))
    digests, is_flat, is_black, finite, hashes, thumbs = map(np.concatenate, zip(*parts, strict=True))
    return ImageLook(digests, is_flat, is_black, finite, thumbed, hashes, thumbs, *seen.told())


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


def _digests(images: Tensor) -> NDArray[np.bytes_]:
    whole = images.contiguous().numpy()
    return np.array([hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in whole], dtype="S16")


def _levels(white: float) -> NDArray[np.float64]:
    """Edges of bins that hold equally many whole numbers of 0 to `white`."""
    count = int(white) + 1
    return np.linspace(-0.5, white + 0.5, (count if count <= 2 * _BINS else _BINS) + 1)


class _Seen:
    """Sums over the pixels of many pieces."""

    def __init__(self, shape: tuple[int, ...], white: float | None) -> None:
        channels = shape[0]
        self._low = torch.full(shape, torch.inf)
        self._high = torch.full(shape, -torch.inf)
        self._count = 0
        self._sums = torch.zeros(2, channels, dtype=torch.float64)
        self._edges = np.linspace(0, 1, _BINS + 1) if white is None else _levels(white)
        self._is_open = white is None
        self._histogram = np.zeros((channels, len(self._edges) - 1), dtype=np.int64)

    def add(self, images: Tensor) -> None:
        """(B, C, H, W), all finite."""
        if not len(images):
            return
        numbers = images.double()
        self._low = torch.minimum(self._low, numbers.amin(dim=0).float())
        self._high = torch.maximum(self._high, numbers.amax(dim=0).float())
        self._count += len(images) * images[0, 0].numel()
        self._sums += torch.stack([numbers.sum(dim=(0, 2, 3)), numbers.square().sum(dim=(0, 2, 3))])
        if self._is_open:
            self._is_open = False
            low, high = float(numbers.min()), float(numbers.max())
            self._edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
        inner = np.clip(numbers.numpy(), self._edges[0], self._edges[-1])
        for channel, values in enumerate(inner.swapaxes(0, 1)):
            self._histogram[channel] += np.histogram(values, self._edges)[0]

    def told(self) -> tuple[Any, ...]:
        """low, high, mean, std, histogram, edges."""
        mean, square = (self._sums / max(1, self._count)).numpy()
        return self._low, self._high, mean, np.sqrt(np.maximum(square - mean**2, 0)), self._histogram, self._edges
