"""Which positions belong to a sequence, and where they are.

Padding is behind the own positions of a sequence, and travels as their number.

Symbols: B samples, T positions of the longest sequence of a batch, D size of the vector of a position.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlexp.scratch.layer import Array


def kept_positions(x: Array, lengths: Sequence[Array]) -> Array:
    """(B, T) bool: True where a position of `x` (B, T, ...) belongs to its sequence.

    Args:
        x: (B, T, ...).
        lengths: One array (B,); or none, then all positions do.
    """
    if not lengths:
        return np.ones(x.shape[:2], bool)
    kept: Array = np.arange(x.shape[1]) < lengths[0][:, None]
    return kept


def sinusoids(length: int, size: int) -> Array:
    """What says where a vector stands: p[t, 2 i] = sin(t / 10000^(2 i / D)), p[t, 2 i + 1] = cos of the same.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.

    Args:
        length: T.
        size: D.

    Returns (T, D) float64.
    """
    angles = np.arange(length)[:, None] * 10_000.0 ** (-np.arange(0, size, 2) / size)
    return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(length, -1)[:, :size]
