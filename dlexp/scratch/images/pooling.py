"""Pooling: each window of a feature map becomes one number.

Symbols: B samples, C channels, H and W height and width in pixels, K side of a window, S stride, P and Q rows and
columns of the output; what does not fill a window at the lower and right border is left out.
"""

from __future__ import annotations

import numpy as np

from dlexp.scratch.images.windows import add_windows, windows
from dlexp.scratch.layer import Array, Layer


class MaxPool2d(Layer):
    """y[b, c, p, q] = the largest of x[b, c, S p + i, S q + j] for i and j below K.

    Backward, all of dy goes to the pixel that was the largest, of equal ones the first.

    Args:
        size: K.
        stride: S; None for K, so that windows do not overlap.
    """

    def __init__(self, size: int = 2, stride: int | None = None) -> None:
        super().__init__()
        self.size, self.stride = size, size if stride is None else stride

    def forward(self, x: Array, *others: Array) -> Array:
        """(B, C, H, W) -> (B, C, P, Q)."""
        view = windows(x, self.size, self.stride)
        flat = view.reshape(*view.shape[:4], -1)  # (B, C, P, Q, K K)
        place = flat.argmax(-1)[..., None]
        self.saved = {"shape": x.shape, "place": place}
        return np.take_along_axis(flat, place, -1)[..., 0]

    def backward(self, dy: Array) -> Array:
        """(B, C, P, Q) -> (B, C, H, W)."""
        parts = np.zeros((*dy.shape, self.size**2), dy.dtype)
        np.put_along_axis(parts, self.saved["place"], dy[..., None], -1)
        return _spread(parts, self.saved["shape"], self.size, self.stride)


class AveragePool2d(Layer):
    """y[b, c, p, q] = the mean of x[b, c, S p + i, S q + j] over i and j below K.

    Backward, each pixel of a window gets 1 / (K K) of dy. Arguments as of `MaxPool2d`.
    """

    def __init__(self, size: int = 2, stride: int | None = None) -> None:
        super().__init__()
        self.size, self.stride = size, size if stride is None else stride

    def forward(self, x: Array, *others: Array) -> Array:
        """(B, C, H, W) -> (B, C, P, Q)."""
        self.saved = {"shape": x.shape}
        found: Array = windows(x, self.size, self.stride).mean((-2, -1))
        return found

    def backward(self, dy: Array) -> Array:
        """(B, C, P, Q) -> (B, C, H, W)."""
        share = dy / self.size**2
        parts = np.broadcast_to(share[..., None], (*dy.shape, self.size**2))
        return _spread(parts, self.saved["shape"], self.size, self.stride)


def _spread(parts: Array, shape: tuple[int, ...], size: int, stride: int) -> Array:
    """Windows (B, C, P, Q, K K) -> the image (B, C, H, W) of their sums."""
    total = np.zeros(shape, parts.dtype)
    by_place = parts.reshape(*parts.shape[:4], size, size).transpose(4, 5, 0, 1, 2, 3)
    add_windows(total, by_place, stride)
    return total
