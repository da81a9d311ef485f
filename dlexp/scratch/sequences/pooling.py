"""One vector of the vectors of all positions of a sequence, whatever its padding.

Symbols: B samples, T positions of the longest sequence of a batch, H size of the vector of a position.
"""

from __future__ import annotations

import numpy as np

from dlexp.scratch.layer import Array, Layer
from dlexp.scratch.sequences.positions import kept_positions

POOLINGS = ("last", "mean", "max", "final")


class SequencePooling(Layer):
    """One of the own positions of a sequence, their mean or their largest; zeros for one of length 0.

    y = sum over t of s_t * x_t, where s_t is 1 for the position that counts, or 1 / length for the mean. Backward,
    d x_t = s_t * dy.

    Args:
        kind: last, mean, max (for each of the H numbers the position where it is largest, of equal ones the first), or
            final: the last position for numbers of the forward direction, the first one for those of the backward one.
        has_two_directions: Whether the second half of the H numbers is of the backward direction.

    Raises ValueError for another kind.
    """

    def __init__(self, kind: str, has_two_directions: bool = False) -> None:
        super().__init__()
        if kind not in POOLINGS:
            raise ValueError(f"unknown pooling={kind!r}; available: {', '.join(POOLINGS)}")
        self.kind, self.has_two_directions = kind, has_two_directions

    def forward(self, x: Array, *lengths: Array) -> Array:
        """(B, T, H), lengths (B,) -> (B, H)."""
        shares = self._shares(x, kept_positions(x, lengths)).astype(x.dtype)
        self.saved = {"shares": shares}
        found: Array = (x * shares).sum(1)
        return found

    def backward(self, dy: Array) -> Array:
        """(B, H) -> (B, T, H)."""
        dx: Array = dy[:, None] * self.saved["shares"]
        return dx

    def _shares(self, x: Array, kept: Array) -> Array:
        """How much each number counts, (B, T, H) or (B, T, 1): d y / d x."""
        own = kept.sum(1, keepdims=True)  # (B, 1)
        if self.kind == "mean":
            mean: Array = kept / np.maximum(own, 1)
            return mean[..., None]
        if self.kind in ("last", "final"):
            places: Array = np.broadcast_to(np.arange(x.shape[1]), kept.shape)
            is_last: Array = places == own - 1
            found: Array = np.repeat(is_last[..., None], x.shape[2], -1)
            if self.kind == "final" and self.has_two_directions:
                is_first: Array = (places == 0) & kept
                found[..., x.shape[2] // 2 :] = is_first[..., None]
            return found
        shares = np.zeros(x.shape, bool)
        if x.shape[1]:
            largest = np.where(kept[..., None], x, -np.inf).argmax(1)[:, None]
            np.put_along_axis(shares, largest, own[..., None] > 0, 1)
        return shares
