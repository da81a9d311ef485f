"""Domain shifts of images, such as noise, blur and inversion, to test networks on changed data.

Symbols: N images, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DOMAINS = ("clean", "noisy", "blurred", "thick", "inverted")

_NOISE = 0.3  # standard deviation, as a fraction of white
_THICKNESS = 0.7  # weight of the brightest pixel of the neighborhood


def in_domain(images: NDArray[np.uint8], domain: str, white: int) -> NDArray[np.uint8]:
    """Shift `images` (N, C, H, W) in [0, `white`] to one of `DOMAINS`, with the same shape and range.

    noisy     Gaussian noise, the same in every call
    blurred   the mean of 3x3 pixels, black beyond the border
    thick     each pixel moved 70 % towards the maximum of 3x3 pixels
    inverted  black and white exchanged
    Raises ValueError for an unknown name.
    """
    if domain == "clean":
        return images
    shares = images / white
    if domain == "noisy":
        shares = shares + _NOISE * np.random.default_rng(0).standard_normal(images.shape)
    elif domain == "blurred":
        shares = _neighbors(shares).mean(axis=0)
    elif domain == "thick":
        shares = shares + _THICKNESS * (_neighbors(shares).max(axis=0) - shares)
    elif domain == "inverted":
        shares = 1 - shares
    else:
        raise ValueError(f"data.domain={domain!r}: unknown domain; available: {', '.join(DOMAINS)}")
    shifted: NDArray[np.uint8] = np.rint(shares.clip(0, 1) * white).astype(np.uint8)
    return shifted


def _neighbors(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, C, H, W) -> (9, N, C, H, W): each pixel and its neighbors, 0 beyond the border."""
    height, width = shares.shape[2:]
    padded = np.pad(shares, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.stack([padded[:, :, y : y + height, x : x + width] for y in range(3) for x in range(3)])
