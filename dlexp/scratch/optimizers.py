"""Optimizers: rules by which parameters follow their gradients.

Symbols: w a parameter, g its gradient dL/dw, t the number of the update from 1; products are elementwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlexp.scratch.layer import Array


class UpdateRule:
    """A rule that changes parameters in place: w -= change(g).

    Args:
        lr: Learning rate, > 0.
        weight_decay: Factor of w that is added to g, the gradient of weight_decay / 2 * w^2.

    Attributes:
        states: Name of a parameter -> what the rule remembers of its gradients, by name.
    """

    def __init__(self, lr: float, weight_decay: float = 0.0) -> None:
        self.lr, self.weight_decay = lr, weight_decay
        self.states: dict[str, dict[str, Array]] = {}

    def begin(self, w: Array) -> dict[str, Array]:
        """Return what is remembered of a parameter before its first update."""
        return {}

    def change(self, g: Array, state: dict[str, Array]) -> Array:
        """Return what is subtracted from a parameter, and update its state in place."""
        raise NotImplementedError

    def update(self, w: Array, g: Array, state: dict[str, Array]) -> None:
        """Change `w` and its state in place."""
        w -= self.change(g + self.weight_decay * w if self.weight_decay else g, state)

    def step(self, parameters: Mapping[str, Array], gradients: Mapping[str, Array]) -> None:
        """Make an update of all parameters, which changes them in place."""
        for name, w in parameters.items():
            if name not in self.states:
                self.states[name] = self.begin(w)
            self.update(w, gradients[name], self.states[name])


class SgdRule(UpdateRule):
    """Gradient descent: w -= lr g (Robbins & Monro 1951)."""

    def change(self, g: Array, state: dict[str, Array]) -> Array:
        """Return lr g."""
        return self.lr * g


class MomentumRule(UpdateRule):
    """Gradient descent with momentum: v = momentum v + g; w -= lr v (Polyak 1964). v is 0 at first.

    Args:
        lr: Learning rate, > 0.
        momentum: In [0, 1).
        weight_decay: As in UpdateRule.
    """

    def __init__(self, lr: float, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.momentum = momentum

    def begin(self, w: Array) -> dict[str, Array]:
        """Return the velocity v, zeros."""
        return {"velocity": np.zeros_like(w)}

    def change(self, g: Array, state: dict[str, Array]) -> Array:
        """Return lr v."""
        v = state["velocity"]
        v *= self.momentum
        v += g
        return self.lr * v


class NesterovRule(MomentumRule):
    """Momentum with the gradient as if v were already applied: v = momentum v + g; w -= lr (g + momentum v).

    Source: Nesterov 1983, in the form of Sutskever et al. 2013 that computes g at the present w.
    """

    def change(self, g: Array, state: dict[str, Array]) -> Array:
        """Return lr (g + momentum v)."""
        super().change(g, state)
        return self.lr * (g + self.momentum * state["velocity"])


class AdagradRule(UpdateRule):
    """Adagrad: s += g^2; w -= lr g / (sqrt(s) + eps) (Duchi, Hazan & Singer 2011). s is 0 at first.

    Args:
        lr: Learning rate, > 0.
        eps: > 0.
        weight_decay: As in UpdateRule.
    """

    def __init__(self, lr: float, eps: float = 1e-10, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.eps = eps

    def begin(self, w: Array) -> dict[str, Array]:
        """Return the sum of squares s, zeros."""
        return {"squares": np.zeros_like(w)}

    def change(self, g: Array, state: dict[str, Array]) -> Array:
        """Return lr g / (sqrt(s) + eps)."""
        s = state["squares"]
        s += g * g
        found: Array = self.lr * g / (np.sqrt(s) + self.eps)
        return found


class RmspropRule(UpdateRule):
    """RMSprop: s = alpha s + (1 - alpha) g^2; w -= lr g / (sqrt(s) + eps) (Hinton 2012). s is 0 at first.

    Args:
        lr: Learning rate, > 0.
        alpha: In [0, 1).
        eps: > 0.
        weight_decay: As in UpdateRule.
    """

    def __init__(self, lr: float, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.alpha, self.eps = alpha, eps

    def begin(self, w: Array) -> dict[str, Array]:
        """Return the running mean of squares s, zeros."""
        return {"squares": np.zeros_like(w)}

    def change(self, g: Array, state: dict[str, Array]) -> Array:
        """Return lr g / (sqrt(s) + eps)."""
        s = state["squares"]
        s *= self.alpha
        s += (1 - self.alpha) * (g * g)
        found: Array = self.lr * g / (np.sqrt(s) + self.eps)
        return found


class AdamRule(UpdateRule):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980): a running mean of g over the root of a running mean of g^2.

    m = b1 m + (1 - b1) g; s = b2 s + (1 - b2) g^2. Both are 0 at first, which makes them too small by 1 - b1^t and
    1 - b2^t: w -= lr (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + eps).

    Args:
        lr: Learning rate, > 0.
        betas: b1 and b2, in [0, 1).
        eps: > 0.
        weight_decay: As in UpdateRule.
    """

    def __init__(
        self, lr: float, betas: Sequence[float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr, weight_decay)
        self.betas, self.eps = betas, eps

    def begin(self, w: Array) -> dict[str, Array]:
        """Return m and s, zeros, and t = 0."""
        return {"mean": np.zeros_like(w), "squares": np.zeros_like(w), "step": np.zeros((), np.int64)}

    def change(self, g: Array, state: dict[str, Array]) -> Array:
        """Return lr (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + eps)."""
        (b1, b2), m, s = self.betas, state["mean"], state["squares"]
        state["step"] += 1
        t = int(state["step"])
        m *= b1
        m += (1 - b1) * g
        s *= b2
        s += (1 - b2) * (g * g)
        found: Array = self.lr * (m / (1 - b1**t)) / (np.sqrt(s / (1 - b2**t)) + self.eps)
        return found
