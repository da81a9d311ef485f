"""The perceptron: the first network that learned, a weighted sum and a step (Rosenblatt 1958).

Symbols: B samples, F features.
"""

from __future__ import annotations

import numpy as np

from dlexp.scratch.layer import Array


class Perceptron:
    """y = 1 if w x + b > 0, else 0, which divides the space of x by one plane.

    If a plane divides the classes, the rule of `learn` finds one after finitely many mistakes (Novikoff 1962). If none
    does, as for the exclusive or, it never ends (Minsky & Papert 1969): that takes a hidden layer.

    Args:
        features: F.
        rng: Draws w from the normal distribution with mean 0 and standard deviation 0.1; b is 0.
        lr: Learning rate, > 0.
    """

    def __init__(self, features: int, rng: np.random.Generator, lr: float = 0.01) -> None:
        self.w: Array = 0.1 * rng.standard_normal(features)
        self.b, self.lr = 0.0, lr

    def predict(self, x: Array) -> Array:
        """Return the class of each sample: (B, F) -> (B,) int64, 0 or 1."""
        return (x @ self.w + self.b > 0).astype(np.int64)

    def learn(self, x: Array, classes: Array, epochs: int = 100) -> int:
        """Go through the samples one by one: w += lr e x, b += lr e, with the error e = class - prediction.

        Args:
            x: (B, F).
            classes: (B,), 0 or 1.
            epochs: Passes over the samples.

        Returns the number of mistakes in the last pass, after which learning ends if it is 0.
        """
        mistakes = 0
        for _ in range(epochs):
            mistakes = 0
            for sample, wanted in zip(x, classes, strict=True):
                error = int(wanted) - int(sample @ self.w + self.b > 0)
                self.w += self.lr * error * sample
                self.b += self.lr * error
                mistakes += abs(error)
            if not mistakes:
                break
        return mistakes
