"""Square windows of images: as a view, and added back.

Symbols: H and W height and width in pixels, K side of a window, S stride, P and Q rows and columns of windows.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dlexp.scratch.layer import Array

Borders = tuple[tuple[int, int], tuple[int, int]]  # zeros above and below, left and right


def windows(x: Array, size: int, stride: int) -> Array:
    """(..., H, W) -> (..., P, Q, K, K), a view that copies nothing: P = floor((H - K) / S) + 1, Q likewise.

    Raises ValueError where a window is larger than the image.
    """
    height, width = x.shape[-2:]
    if size > min(height, width):
        raise ValueError(f"a window of {size}x{size} does not fit into {height}x{width} pixels. Use a smaller window")
    view: Array = sliding_window_view(x, (size, size), axis=(-2, -1))
    return view[..., ::stride, ::stride, :, :]


def add_windows(total: Array, parts: Array, stride: int) -> None:
    """Add windows (K, K, ..., P, Q) to the image (..., H, W) that they were views of: what overlaps is summed."""
    size = len(parts)
    rows, columns = parts.shape[-2:]
    for i in range(size):
        for j in range(size):
            total[..., i : i + stride * rows : stride, j : j + stride * columns : stride] += parts[i, j]


def borders(padding: str | int, shape: tuple[int, int], size: int, stride: int) -> Borders:
    """Zeros around an image.

    Args:
        padding: valid (none), same (as many as give ceil(H / S) rows and ceil(W / S) columns of windows; one more below
            and on the right where they do not divide), or their number on each side.
        shape: (H, W).
        size: K.
        stride: S.

    Raises ValueError for another word, and for a negative number.
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        needed = [max((-(-length // stride) - 1) * stride + size - length, 0) for length in shape]
        above, left = (number // 2 for number in needed)
        return (above, needed[0] - above), (left, needed[1] - left)
    if isinstance(padding, str) or padding < 0:
        raise ValueError(f"padding={padding!r} must be valid, same or a number of pixels >= 0")
    return (padding, padding), (padding, padding)


def padded(x: Array, around: Borders) -> Array:
    """(..., H, W) with zeros around it; x itself where there are none."""
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + list(around)) if around != ((0, 0), (0, 0)) else x


def cropped(x: Array, around: Borders) -> Array:
    """(..., H, W) without what `padded` put around it."""
    (above, below), (left, right) = around
    return x[..., above : x.shape[-2] - below, left : x.shape[-1] - right]
