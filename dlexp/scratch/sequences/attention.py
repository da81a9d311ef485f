"""Attention: each position of a sequence takes in the others, as far as its query fits to their keys.

A mask is True where a key is kept. A query without any kept key gets zeros, and its gradients are zeros.

Symbols: B samples, T positions, H heads, Q queries, K keys, E size of a head (D / H), D size of the vector of a
position; ' transposed, * elementwise; dy as in `layer`.
"""

from __future__ import annotations

import numpy as np

from dlexp.scratch.dense import Dense
from dlexp.scratch.layer import Array, Layer


def scaled_dot_product_attention(
    queries: Array, keys: Array, values: Array, keep: Array | None = None
) -> tuple[Array, Array]:
    """y = W V with the weights W = softmax(Q K' / sqrt(E)), row by row (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        queries: Q (..., Q, E).
        keys: K (..., K, E).
        values: V (..., K, E).
        keep: Bool, can be broadcast to (..., Q, K): True keeps a key. None keeps all.

    Returns y (..., Q, E) and W (..., Q, K), whose rows add up to 1 over the kept keys, or are 0 where none is kept.
    """
    scores = queries @ keys.swapaxes(-2, -1) * queries.shape[-1] ** -0.5
    if keep is not None:
        scores = np.where(keep, scores, scores.dtype.type(-np.inf))
    largest = scores.max(-1, keepdims=True, initial=-np.inf)
    powers = np.exp(scores - np.where(np.isneginf(largest), scores.dtype.type(0), largest))  # of removed keys 0
    total = powers.sum(-1, keepdims=True)
    weights = powers / np.where(total == 0, scores.dtype.type(1), total)
    return weights @ values, weights


def attention_gradients(
    queries: Array, keys: Array, values: Array, weights: Array, dy: Array
) -> tuple[Array, Array, Array]:
    """The gradients of queries, keys and values, of the weights that were returned and of dy (..., Q, E).

    dV = W' dy and dW = dy V'; through the softmax dS = W * (dW - the sums of W * dW by row); then dQ = dS K / sqrt(E)
    and dK = dS' Q / sqrt(E).
    """
    of_weights = dy @ values.swapaxes(-2, -1)
    mean = (weights * of_weights).sum(-1, keepdims=True)
    of_scores = weights * (of_weights - mean) * queries.shape[-1] ** -0.5
    return of_scores @ keys, of_scores.swapaxes(-2, -1) @ queries, weights.swapaxes(-2, -1) @ dy


class MultiHeadAttention(Layer):
    """H attentions side by side, each of projections of its own of size E = D / H, and a projection of all together.

    One Dense layer makes the queries, keys and values of all heads: its 3 D rows are their matrices on top of each
    other, and in each the heads one after the other.

    Args:
        size: D.
        heads: H, which divides D.
        rng: Draws the weights, as of Dense.
        dtype: Type of the parameters.

    Raises ValueError where the heads do not divide D.
    """

    def __init__(self, size: int, heads: int, rng: np.random.Generator | None = None, dtype: str = "float32") -> None:
        super().__init__()
        if size % heads:
            raise ValueError(f"a size of {size} must be a multiple of the number of heads, got {heads}")
        self.heads = heads
        self.queries_keys_values = Dense(size, 3 * size, rng=rng, dtype=dtype)
        self.out = Dense(size, size, rng=rng, dtype=dtype)

    def children(self) -> dict[str, Layer]:
        """The two projections."""
        return {"queries_keys_values": self.queries_keys_values, "out": self.out}

    def forward(self, x: Array, *keep: Array) -> Array:
        """(B, T, D) -> (B, T, D), of all keys or of those that `keep` names, bool, can be broadcast to (B, H, T, T)."""
        samples, positions, size = x.shape
        parts = self.queries_keys_values.forward(x).reshape(samples, positions, 3, self.heads, size // self.heads)
        queries, keys, values = parts.transpose(2, 0, 3, 1, 4)  # (B, H, T, E) each
        mixed, weights = scaled_dot_product_attention(queries, keys, values, *keep)
        self.saved = {"queries": queries, "keys": keys, "values": values, "weights": weights}
        self.multiply_adds = 2 * samples * positions**2 * size
        return self.out.forward(mixed.transpose(0, 2, 1, 3).reshape(x.shape))

    def backward(self, dy: Array) -> Array:
        """(B, T, D) -> (B, T, D)."""
        samples, positions, size = dy.shape
        by_head = self.out.backward(dy).reshape(samples, positions, self.heads, size // self.heads)
        parts = np.stack(attention_gradients(**self.saved, dy=by_head.transpose(0, 2, 1, 3)))  # (3, B, H, T, E)
        return self.queries_keys_values.backward(parts.transpose(1, 3, 0, 2, 4).reshape(samples, positions, 3 * size))
