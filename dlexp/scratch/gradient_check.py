"""The check of a backward pass: its derivatives beside differences of the forward pass.

Symbols: f a function, h a small step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlexp.scratch.layer import Array, Layer

_STEP = 6e-6  # about the cube root of the rounding of float64, where the errors of step and rounding are equal


def numerical_derivative(function: Callable[[], float], w: Array) -> Array:
    """Return (f(w + h) - f(w - h)) / (2 h) for each entry of `w`: an array of its shape.

    The error is O(h^2), that of the difference on one side only O(h). `w` is changed in place, and put back.

    Args:
        function: f, a number that depends on the array `w`.
        w: float64, any shape.

    Raises ValueError for another type, whose rounding errors would hide those that are looked for.
    """
    if w.dtype != np.float64:
        raise ValueError(f"numerical derivatives require float64, got {w.dtype}")
    found = np.empty_like(w)
    for place in np.ndindex(w.shape):
        value = float(w[place])
        step = _STEP * max(1.0, abs(value))
        w[place] = value + step
        above = function()
        w[place] = value - step
        found[place] = (above - function()) / (2 * step)
        w[place] = value
    return found


def derivative_errors(layer: Layer, x: Array, *others: Array, seed: int = 1_000_003) -> dict[str, float]:
    """Return name of a parameter, or x -> relative error of its derivative, |a - n| / (|a| + |n|) of the vectors.

    The loss is the sum of all outputs, each by a random factor. Derivatives that are right have errors below 1e-6.

    Args:
        layer: A layer whose parameters are float64, and whose masks are the same in each call.
        x: The input, float64; integers have no derivative.
        others: More inputs.
        seed: Of the random factors, which must not depend on x: the derivative by a normalized x is 0 for factors x.
    """
    factors = np.random.default_rng(seed).standard_normal(layer.forward(x, *others).shape)
    dx = layer.backward(factors)
    analytic = dict(layer.named("gradients"))
    arrays = dict(layer.named("parameters"))
    if np.issubdtype(x.dtype, np.floating):
        analytic["x"], arrays["x"] = dx, x

    def loss() -> float:
        return float((layer.forward(x, *others) * factors).sum())

    return {name: _relative_error(analytic[name], numerical_derivative(loss, w)) for name, w in arrays.items()}


def _relative_error(one: Array, other: Array) -> float:
    """|one - other| / (|one| + |other|); 0 where both are 0."""
    total = float(np.linalg.norm(one) + np.linalg.norm(other))
    return float(np.linalg.norm(one - other)) / total if total else 0.0
