"""Vectors of tokens.

Symbols: B samples, T positions, V tokens of the vocabulary, D size of a vector.
"""

from __future__ import annotations

import numpy as np

from dlexp.scratch.layer import Array, Layer


class Embedding(Layer):
    """y[b, t] = weight[x[b, t]]: the product with a vector that is 1 at the token and 0 elsewhere, without the product.

    Backward, the row of a token gets the sum of dy wherever the token stands. Weight (V, D).

    Args:
        tokens: V.
        size: D.
        rng: Draws the weight from N(0, 1), as torch does; None: it is 0.
        dtype: Type of the weight.
    """

    def __init__(self, tokens: int, size: int, rng: np.random.Generator | None = None, dtype: str = "float32") -> None:
        super().__init__()
        drawn = np.zeros((tokens, size)) if rng is None else rng.normal(size=(tokens, size))
        self.parameters = {"weight": drawn.astype(dtype)}

    def forward(self, x: Array, *others: Array) -> Array:
        """(B, T) int64 in [0, V) -> (B, T, D)."""
        self.saved = {"tokens": x}
        found: Array = self.parameters["weight"][x]
        return found

    def backward(self, dy: Array) -> Array:
        """(B, T, D) -> (B, T) zeros: a token is a name, which nothing can be a little more of."""
        tokens, total = self.saved["tokens"], np.zeros_like(self.parameters["weight"])
        np.add.at(total, tokens, dy)
        self.gradients = {"weight": total}
        return np.zeros(tokens.shape, dy.dtype)
