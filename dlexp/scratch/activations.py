"""Activations: functions of each number by itself, without which layers one after the other would be a single one.

Symbols: x, y, dx and dy as in `layer`; s the sigmoid.
"""

from __future__ import annotations

import numpy as np

from dlexp.scratch.layer import Array, Layer


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), with an exponential that cannot overflow: (...) -> the same shape."""
    e = np.exp(-np.abs(x))  # in (0, 1]
    found: Array = np.where(x >= 0, 1, e) / (1 + e)
    return found.astype(x.dtype, copy=False)


def softmax(x: Array, axis: int = -1) -> Array:
    """Return exp(x_i) / sum_j exp(x_j) along `axis`: (...) -> the same shape.

    The largest x is subtracted from all, which changes nothing but keeps the exponentials below 1.
    """
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    found: Array = e / e.sum(axis=axis, keepdims=True)
    return found


class Identity(Layer):
    """y = x: any shape."""

    def forward(self, x: Array, *others: Array) -> Array:
        """(...) -> the same shape."""
        return x

    def backward(self, dy: Array) -> Array:
        """(...) -> the same shape."""
        return dy


class Sigmoid(Layer):
    """y = s(x) = 1 / (1 + exp(-x)), in (0, 1), with the derivative y (1 - y) <= 1/4: any shape."""

    def forward(self, x: Array, *others: Array) -> Array:
        """(...) -> the same shape."""
        y = sigmoid(x)
        self.saved = {"y": y}
        return y

    def backward(self, dy: Array) -> Array:
        """(...) -> the same shape."""
        y = self.saved["y"]
        dx: Array = dy * y * (1 - y)
        return dx


class Tanh(Layer):
    """y = tanh(x), in (-1, 1), with the derivative 1 - y^2: any shape."""

    def forward(self, x: Array, *others: Array) -> Array:
        """(...) -> the same shape."""
        y: Array = np.tanh(x)
        self.saved = {"y": y}
        return y

    def backward(self, dy: Array) -> Array:
        """(...) -> the same shape."""
        y = self.saved["y"]
        dx: Array = dy * (1 - y * y)
        return dx


class LeakyRelu(Layer):
    """y = x for x > 0, else slope x; the derivative is 1 or slope, and slope at 0: any shape.

    With slope 0 it is the rectifier (Nair & Hinton 2010), with 0.01 the leaky one (Maas et al. 2013).

    Args:
        slope: In [0, 1).
    """

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Array, *others: Array) -> Array:
        """(...) -> the same shape."""
        is_positive = x > 0
        self.saved = {"is_positive": is_positive}
        y: Array = np.where(is_positive, x, x * self.slope)
        return y

    def backward(self, dy: Array) -> Array:
        """(...) -> the same shape."""
        dx: Array = np.where(self.saved["is_positive"], dy, dy * self.slope)
        return dx


class Relu(Layer):
    """y = max(x, 0), with the derivative 1 for x > 0 and 0 elsewhere: any shape (Nair & Hinton 2010)."""

    def forward(self, x: Array, *others: Array) -> Array:
        """(...) -> the same shape."""
        self.saved = {"is_positive": x > 0}
        y: Array = np.maximum(x, 0)
        return y

    def backward(self, dy: Array) -> Array:
        """(...) -> the same shape."""
        dx: Array = dy * self.saved["is_positive"]
        return dx


class Elu(Layer):
    """y = x for x > 0, else alpha (exp(x) - 1); the derivative is 1 or y + alpha: any shape.

    Source: Clevert, Unterthiner & Hochreiter 2016, arXiv:1511.07289.

    Args:
        alpha: -alpha is the limit for x -> -infinity.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Array, *others: Array) -> Array:
        """(...) -> the same shape."""
        y: Array = np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))
        self.saved = {"y": y, "is_positive": x > 0}
        return y

    def backward(self, dy: Array) -> Array:
        """(...) -> the same shape."""
        dx: Array = np.where(self.saved["is_positive"], dy, dy * (self.saved["y"] + self.alpha))
        return dx


class Swish(Layer):
    """y = x s(x), also called SiLU, with the derivative s(x) + y (1 - s(x)): any shape.

    Source: Ramachandran, Zoph & Le 2017, arXiv:1710.05941, with beta = 1.
    """

    def forward(self, x: Array, *others: Array) -> Array:
        """(...) -> the same shape."""
        s = sigmoid(x)
        y: Array = x * s
        self.saved = {"s": s, "y": y}
        return y

    def backward(self, dy: Array) -> Array:
        """(...) -> the same shape."""
        s, y = self.saved["s"], self.saved["y"]
        dx: Array = dy * (s + y * (1 - s))
        return dx


class Step(Layer):
    """y = 1 for x > 0, else 0: any shape. The activation of the perceptron (Rosenblatt 1958).

    Its derivative is 0 almost everywhere, from which nothing could be learned. In its place dx is dy for x in [-1, 1],
    else 0: the straight-through estimator (Bengio, Leonard & Courville 2013, arXiv:1308.3432).
    """

    def forward(self, x: Array, *others: Array) -> Array:
        """(...) -> the same shape."""
        self.saved = {"is_inside": np.abs(x) <= 1}
        return (x > 0).astype(x.dtype)

    def backward(self, dy: Array) -> Array:
        """(...) -> the same shape."""
        dx: Array = dy * self.saved["is_inside"]
        return dx


class Softmax(Layer):
    """y_i = exp(x_i) / sum_j exp(x_j) along an axis, positive numbers that add up to 1: any shape.

    Its derivative is dy_i/dx_j = y_i (1[i = j] - y_j), so dx = y (dy - sum_j dy_j y_j).

    Args:
        axis: The axis along which y adds up to 1.
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Array, *others: Array) -> Array:
        """(...) -> the same shape."""
        y = softmax(x, self.axis)
        self.saved = {"y": y}
        return y

    def backward(self, dy: Array) -> Array:
        """(...) -> the same shape."""
        y = self.saved["y"]
        dx: Array = y * (dy - (dy * y).sum(axis=self.axis, keepdims=True))
        return dx
