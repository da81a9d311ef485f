"""Dense layers: every output is a weighted sum of all inputs.

Symbols: B samples, F features, O outputs; x, y, dx and dy as in `layer`.
"""

from __future__ import annotations

from math import prod, sqrt

import numpy as np

from dlexp.scratch.layer import Array, Layer


class Dense(Layer):
    """y = x W^T + b: (B, ..., F) -> (B, ..., O). W (O, F) is `weight`, b (O,) is `bias`.

    By the chain rule dx = dy W, dW = sum over the samples of dy x^T, and db the sum of dy (Goodfellow, Bengio &
    Courville 2016, Deep Learning, section 6.5).

    Args:
        features: F.
        outputs: O.
        bias: Whether there is a b.
        rng: Draws W from the uniform distribution on +-1 / sqrt(F), as torch does; None: W is 0. b is 0.
        dtype: Type of the parameters.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        bias: bool = True,
        rng: np.random.Generator | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        bound = 1 / sqrt(features)
        shape = (outputs, features)
        drawn = np.zeros(shape) if rng is None else rng.uniform(-bound, bound, shape)
        self.parameters["weight"] = drawn.astype(dtype)
        if bias:
            self.parameters["bias"] = np.zeros(outputs, dtype)

    def forward(self, x: Array, *others: Array) -> Array:
        """(B, ..., F) -> (B, ..., O). Raises ValueError for another number of features."""
        weight = self.parameters["weight"]
        if x.shape[-1] != weight.shape[1]:
            raise ValueError(f"a dense layer of {weight.shape[1]} features cannot process inputs of shape {x.shape}")
        self.saved = {"x": x}
        self.multiply_adds = prod(x.shape[:-1]) * weight.size
        y: Array = x @ weight.T
        if "bias" in self.parameters:
            y += self.parameters["bias"]
        return y

    def backward(self, dy: Array) -> Array:
        """(B, ..., O) -> (B, ..., F)."""
        x, weight = self.saved["x"], self.parameters["weight"]
        rows_y, rows_x = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
        self.gradients = {"weight": rows_y.T @ rows_x}
        if "bias" in self.parameters:
            self.gradients["bias"] = rows_y.sum(axis=0)
        dx: Array = dy @ weight
        return dx


class Flatten(Layer):
    """All numbers of a sample in a row: (B, ...) -> (B, F)."""

    def forward(self, x: Array, *others: Array) -> Array:
        """(B, ...) -> (B, F)."""
        self.saved = {"shape": x.shape}
        return x.reshape(len(x), -1)

    def backward(self, dy: Array) -> Array:
        """(B, F) -> (B, ...)."""
        return dy.reshape(self.saved["shape"])
