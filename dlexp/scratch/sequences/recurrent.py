"""Recurrent layers: a state that is carried from each position of a sequence to the next.

Symbols: B samples, T positions of the longest sequence of a batch, D size of the input of a position, H units;
x_t the input of position t, h_t its output, sigma the logistic function, * elementwise.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, ClassVar

import numpy as np

from dlexp.scratch.activations import sigmoid
from dlexp.scratch.layer import Array, Layer
from dlexp.scratch.sequences.positions import kept_positions


class Recurrent(Layer):
    """What `Rnn` and `Lstm` share: the products of all positions as one, and the gradients of the weights.

    A position has the products p_t = W x_t + b + U h_{t-1} + c, G for each unit. They are named and shaped as torch's:
    W (G H, D) is `weight_ih_l0`, U (G H, H) `weight_hh_l0`, b and c (G H,) `bias_ih_l0` and `bias_hh_l0`, of which only
    the sum counts. Outputs at padding are zeros, and gradients of them are dropped. Inside, positions come first:
    (T, B, ...), with a state of zeros in front of the first.

    Args:
        inputs: D.
        units: H.
        rng: Draws all parameters from the uniform distribution on +-1 / sqrt(H), as torch does; None: they are 0.
        dtype: Type of the parameters.
    """

    gates: ClassVar[int]  # G

    def __init__(self, inputs: int, units: int, rng: np.random.Generator | None = None, dtype: str = "float32") -> None:
        super().__init__()
        self.units, rows, bound = units, self.gates * units, 1 / sqrt(units)
        shapes: dict[str, tuple[int, ...]] = {"weight_ih_l0": (rows, inputs), "weight_hh_l0": (rows, units)}
        shapes |= {"bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
        for name, shape in shapes.items():
            drawn = np.zeros(shape) if rng is None else rng.uniform(-bound, bound, shape)
            self.parameters[name] = drawn.astype(dtype)

    def room(self, positions: int, samples: int, dtype: Any) -> dict[str, Array]:
        """Zeros for what `step` keeps for `step_backward`."""
        return {"outputs": np.zeros((positions + 1, samples, self.units), dtype)}  # h_t at t + 1

    def step(self, t: int, products: Array, kept: dict[str, Array]) -> Array:
        """h_t (B, H) of p_t (B, G H)."""
        raise NotImplementedError

    def step_backward(self, t: int, dh: Array, kept: dict[str, Array]) -> Array:
        """The gradient of p_t (B, G H), of that of h_t (B, H)."""
        raise NotImplementedError

    def forward(self, x: Array, *lengths: Array) -> Array:
        """(B, T, D), lengths (B,) -> outputs (B, T, H)."""
        of_input, of_state, *biases = self.parameters.values()
        samples, positions, size = x.shape
        own = kept_positions(x, lengths).T[..., None].astype(x.dtype)
        flat = x.transpose(1, 0, 2).reshape(-1, size)  # (T B, D)
        products = (flat @ of_input.T + (biases[0] + biases[1])).reshape(positions, samples, len(of_input))
        kept = self.room(positions, samples, x.dtype)
        outputs = kept["outputs"]
        for t in range(positions):
            outputs[t + 1] = self.step(t, products[t] + outputs[t] @ of_state.T, kept)
        self.saved = {"x": flat, "own": own, **kept}
        self.multiply_adds = len(flat) * (of_input.size + of_state.size)
        y: Array = (outputs[1:] * own).transpose(1, 0, 2)
        return y

    def backward(self, dy: Array) -> Array:
        """(B, T, H) -> (B, T, D): backpropagation through time, from the last position to the first (Werbos 1990)."""
        of_input, of_state, *_ = self.parameters.values()
        flat, kept = self.saved["x"], dict(self.saved)
        dh = dy.transpose(1, 0, 2) * self.saved["own"]
        products = np.zeros((*dh.shape[:2], len(of_state)), dy.dtype)
        later = np.zeros(dh.shape[1:], dy.dtype)  # of h_t, by the positions behind it
        for t in reversed(range(len(dh))):
            products[t] = self.step_backward(t, dh[t] + later, kept)
            later = products[t] @ of_state
        rows = products.reshape(len(flat), len(of_state))  # (T B, G H)
        before = kept["outputs"][:-1].reshape(len(flat), self.units)  # h_{t-1}
        found = (rows.T @ flat, rows.T @ before, rows.sum(0), rows.sum(0))
        self.gradients = dict(zip(self.parameters, found, strict=True))
        dx: Array = (rows @ of_input).reshape(*dh.shape[:2], of_input.shape[1])
        return dx.transpose(1, 0, 2)


class Rnn(Recurrent):
    """h_t = tanh(p_t), of G = 1 product (Elman 1990): the gradient vanishes or explodes with the length.

    Backward: d p_t = d h_t * (1 - h_t^2).
    """

    gates = 1

    def step(self, t: int, products: Array, kept: dict[str, Array]) -> Array:
        """(B, H) -> (B, H)."""
        return np.tanh(products)

    def step_backward(self, t: int, dh: Array, kept: dict[str, Array]) -> Array:
        """(B, H) -> (B, H)."""
        found: Array = dh * (1 - kept["outputs"][t + 1] ** 2)
        return found


class Lstm(Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; with forget gate, Gers et al. 2000).

    Of G = 4 products, in this order: i, f = sigma(...), g = tanh(...), o = sigma(...); the memory is
    c_t = f * c_{t-1} + i * g, the output h_t = o * tanh(c_t).

    Backward, with d c_t = d h_t * o * (1 - tanh(c_t)^2) + d c_{t+1} * f_{t+1}: d i = d c_t * g, d f = d c_t * c_{t-1},
    d g = d c_t * i, d o = d h_t * tanh(c_t), each times the derivative of its sigma or tanh.
    """

    gates = 4

    def room(self, positions: int, samples: int, dtype: Any) -> dict[str, Array]:
        """As in `Recurrent`; and the memories, the gates, and d c_{t+1} * f_{t+1}."""
        found = super().room(positions, samples, dtype)
        found |= {"memories": np.zeros_like(found["outputs"])}  # c_t at t + 1
        found |= {"gates": np.zeros((positions, 4, samples, self.units), dtype)}
        return found | {"later": np.zeros((samples, self.units), dtype)}

    def step(self, t: int, products: Array, kept: dict[str, Array]) -> Array:
        """(B, 4 H) -> (B, H)."""
        into, forget, new, out = np.split(products, 4, 1)
        i, f, g, o = kept["gates"][t] = sigmoid(into), sigmoid(forget), np.tanh(new), sigmoid(out)
        memory = kept["memories"][t + 1] = f * kept["memories"][t] + i * g
        found: Array = o * np.tanh(memory)
        return found

    def step_backward(self, t: int, dh: Array, kept: dict[str, Array]) -> Array:
        """(B, H) -> (B, 4 H)."""
        i, f, g, o = kept["gates"][t]
        before, memory = np.tanh(kept["memories"][t + 1]), kept["memories"][t]
        dc = dh * o * (1 - before**2) + kept["later"]
        kept["later"] = dc * f
        parts = (dc * g * i * (1 - i), dc * memory * f * (1 - f), dc * i * (1 - g**2), dh * before * o * (1 - o))
        return np.concatenate(parts, 1)


class TwoDirections(Layer):
    """A layer that reads each sequence forward, and one that reads it from its last own position back: (B, T, 2 H).

    Args:
        ahead: (B, T, D) -> (B, T, H).
        back: The other one, of the same sizes.
    """

    def __init__(self, ahead: Recurrent, back: Recurrent) -> None:
        super().__init__()
        self.ahead, self.back = ahead, back

    def children(self) -> dict[str, Layer]:
        """Both, named as in dlexp's own recurrent networks."""
        return {"ahead.layer": self.ahead, "back.layer": self.back}

    def forward(self, x: Array, *lengths: Array) -> Array:
        """(B, T, D), lengths (B,) -> (B, T, 2 H)."""
        sources = _reversed_positions(kept_positions(x, lengths))[..., None]
        self.saved = {"sources": sources}
        backward = self.back.forward(np.take_along_axis(x, sources, 1), *lengths)
        return np.concatenate([self.ahead.forward(x, *lengths), np.take_along_axis(backward, sources, 1)], -1)

    def backward(self, dy: Array) -> Array:
        """(B, T, 2 H) -> (B, T, D): reversing twice is leaving alone, so gradients are reversed likewise."""
        sources = self.saved["sources"]
        ahead, back = np.split(dy, 2, -1)
        found = self.back.backward(np.take_along_axis(back, sources, 1))
        dx: Array = self.ahead.backward(ahead) + np.take_along_axis(found, sources, 1)
        return dx


def _reversed_positions(kept: Array) -> Array:
    """(B, T) bool -> (B, T): which position comes to stand at each, own ones reversed, padding as it is."""
    positions = np.broadcast_to(np.arange(kept.shape[1]), kept.shape)
    found: Array = np.where(kept, kept.sum(1, keepdims=True) - 1 - positions, positions)
    return found
