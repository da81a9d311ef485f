"""The same pictures as another camera would see them: what a network meets that was trained elsewhere.

Symbols: N images, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DOMAINS = ("clean", "noisy", "blurred", "thick", "inverted")

_NOISE = 0.3  # standard deviation, as a share of white
_THICKNESS = 0.7  # how far a pixel goes towards the brightest one around it


def in_domain(images: NDArray[np.uint8], domain: str, white: int) -> NDArray[np.uint8]:
    """`images` (N, C, H, W) in 0..`white` -> the same shape and range, in one of `DOMAINS`.

    noisy     Gaussian noise, the same whenever the data are read
    blurred   the mean of 3x3 pixels, black beyond the border
    thick     each pixel most of the way to the brightest of 3x3
    inverted  black for white
    Raises ValueError for another name.
    """
    if domain == "clean":
        return images
    shares = images / white
    if domain == "noisy":
        shares = shares + _NOISE * np.random.default_rng(0).standard_normal(images.shape)
    elif domain == "blurred":
        shares = _neighbours(shares).mean(axis=0)
    elif domain == "thick":
        shares = shares + _THICKNESS * (_neighbours(shares).max(axis=0) - shares)
    elif domain == "inverted":
        shares = 1 - shares
    else:
        raise ValueError(f"data.domain={domain!r} is not one of {', '.join(DOMAINS)}")
    seen: NDArray[np.uint8] = np.rint(shares.clip(0, 1) * white).astype(np.uint8)
    return seen


def _neighbours(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, C, H, W) -> (9, N, C, H, W): each pixel's neighbours and itself, 0 beyond the border."""
    height, width = shares.shape[2:]
    padded = np.pad(shares, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.stack([padded[:, :, y : y + height, x : x + width] for y in range(3) for x in range(3)])
