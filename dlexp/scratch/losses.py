"""Losses: how far outputs are from targets, as one number, and its derivative by the outputs.

Each function returns (the mean over the samples, its derivative), the first as a number, the second an array of the
shape and type of the outputs, which is the dy that the last layer's `backward` is given.

Symbols: B samples, C classes, O outputs; z the outputs, t the targets, s the sigmoid.
"""

from __future__ import annotations

import numpy as np

from dlexp.scratch.activations import sigmoid, softmax
from dlexp.scratch.layer import Array


def softmax_cross_entropy(logits: Array, classes: Array) -> tuple[float, Array]:
    """-log p_t, p = softmax(z), in nats, with the derivative p - 1[i = t] (Goodfellow et al. 2016, section 6.2.2.3).

    It is computed of z and not of p, so no logarithm is that of 0: log p_t = z_t - max z - log sum exp(z - max z).

    Args:
        logits: (B, C).
        classes: (B,) integers in [0, C).
    """
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)
    values = np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, classes]
    derivative = softmax(logits)
    derivative[rows, classes] -= 1
    return float(values.mean()), derivative / len(logits)


def sigmoid_cross_entropy(logits: Array, targets: Array) -> tuple[float, Array]:
    """-t log s(z) - (1 - t) log s(-z), in nats, with the derivative s(z) - t.

    It equals max(z, 0) - z t + log(1 + exp(-|z|)), which neither overflows nor takes the log of 0. A network whose
    last derivative is a - t, with a = s(z), learns this loss, not the squared error (a - t)^2, whose derivative by z is
    2 (a - t) a (1 - a).

    Args:
        logits: Any shape; the mean is over all numbers.
        targets: The same shape, in [0, 1].
    """
    values = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
    derivative: Array = (sigmoid(logits) - targets) / logits.size
    return float(values.mean()), derivative.astype(logits.dtype, copy=False)


def squared_error(outputs: Array, targets: Array) -> tuple[float, Array]:
    """(z - t)^2, with the derivative 2 (z - t).

    Args:
        outputs: Any shape; the mean is over all numbers.
        targets: The same shape.
    """
    difference = outputs - targets
    derivative: Array = 2 * difference / difference.size
    return float(np.square(difference).mean()), derivative.astype(outputs.dtype, copy=False)


def huber_error(outputs: Array, targets: Array, delta: float = 1.0) -> tuple[float, Array]:
    """e^2 / 2 for |e| <= delta, else delta (|e| - delta / 2), e = z - t; its derivative is e cut off at +-delta.

    Outliers pull no harder than delta (Huber 1964).

    Args:
        outputs: Any shape; the mean is over all numbers.
        targets: The same shape.
        delta: > 0.
    """
    difference = outputs - targets
    size = np.abs(difference)
    values = np.where(size <= delta, difference * difference / 2, delta * (size - delta / 2))
    derivative: Array = np.clip(difference, -delta, delta) / difference.size
    return float(values.mean()), derivative.astype(outputs.dtype, copy=False)
