"""The layers of a transformer: attention and a feed-forward layer, each normalized and added to what it read.

Symbols: B samples, T positions, D size of the vector of a position; x, y, dx and dy as in `layer`.
"""

from __future__ import annotations

import numpy as np

from dlexp.scratch.activations import Relu
from dlexp.scratch.dense import Dense
from dlexp.scratch.dropout import Dropout
from dlexp.scratch.layer import Array, Layer
from dlexp.scratch.normalization import LayerNorm
from dlexp.scratch.sequences.attention import MultiHeadAttention


class FeedForward(Layer):
    """Two Dense layers for each position, an activation and dropout between them: (B, T, D) -> (B, T, D).

    Args:
        size: D.
        hidden: Units between the layers.
        activation: The activation; None for a rectifier.
        p: Probability in [0, 1) that a hidden unit is zeroed in training.
        rng: Draws the weights, as of Dense.
        dtype: Type of the parameters.
    """

    def __init__(
        self,
        size: int,
        hidden: int,
        activation: Layer | None = None,
        p: float = 0.0,
        rng: np.random.Generator | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        self.expand, self.contract = (
            Dense(size, hidden, rng=rng, dtype=dtype),
            Dense(hidden, size, rng=rng, dtype=dtype),
        )
        self.activation, self.dropout = activation or Relu(), Dropout(p)

    def children(self) -> dict[str, Layer]:
        """All, in their order."""
        found: dict[str, Layer] = {"expand": self.expand, "activation": self.activation}
        return {**found, "dropout": self.dropout, "contract": self.contract}

    def forward(self, x: Array, *others: Array) -> Array:
        """(B, T, D) -> (B, T, D)."""
        for layer in self.children().values():
            x = layer.forward(x)
        return x

    def backward(self, dy: Array) -> Array:
        """(B, T, D) -> (B, T, D)."""
        for layer in reversed(self.children().values()):
            dy = layer.backward(dy)
        return dy


class Residual(Layer):
    """y = x + drop(f(norm(x))) or, as first published, y = norm(x + drop(f(x))): (B, T, D) -> (B, T, D).

    The sum lets x pass by f, and dy too: dx = dy + what comes back through f (He et al. 2016, arXiv:1512.03385). With
    the normalization in front no warm-up is needed (Xiong et al. 2020, arXiv:2002.04745).

    Args:
        layer: f.
        size: D.
        is_norm_first: Whether the normalization is in front.
        p: Probability in [0, 1) that a number of f is zeroed in training.
        dtype: Type of the parameters.
    """

    def __init__(
        self, layer: Layer, size: int, is_norm_first: bool = True, p: float = 0.0, dtype: str = "float32"
    ) -> None:
        super().__init__()
        self.layer, self.norm, self.dropout = layer, LayerNorm(size, dtype=dtype), Dropout(p)
        self.is_norm_first = is_norm_first

    def children(self) -> dict[str, Layer]:
        """f, the normalization and dropout."""
        return {"layer": self.layer, "norm": self.norm, "dropout": self.dropout}

    def forward(self, x: Array, *others: Array) -> Array:
        """(B, T, D) -> (B, T, D); `others` are for f."""
        if self.is_norm_first:
            y: Array = x + self.dropout.forward(self.layer.forward(self.norm.forward(x), *others))
            return y
        return self.norm.forward(x + self.dropout.forward(self.layer.forward(x, *others)))

    def backward(self, dy: Array) -> Array:
        """(B, T, D) -> (B, T, D)."""
        if not self.is_norm_first:
            dy = self.norm.backward(dy)
        through = self.layer.backward(self.dropout.backward(dy))
        dx: Array = dy + (self.norm.backward(through) if self.is_norm_first else through)
        return dx


class TransformerBlock(Layer):
    """Attention, then a feed-forward layer, each a `Residual` (Vaswani et al. 2017): (B, T, D) -> (B, T, D).

    Args:
        attention: Attention, and what is around it.
        ffn: The feed-forward layer, and what is around it.
    """

    def __init__(self, attention: Residual, ffn: Residual) -> None:
        super().__init__()
        self.attention, self.ffn = attention, ffn

    def children(self) -> dict[str, Layer]:
        """The parts of both, named as in dlexp's own transformers."""
        found: dict[str, Layer] = {}
        for name, part in (("attention", self.attention), ("ffn", self.ffn)):
            found |= {name: part.layer, f"{name}_norm": part.norm, f"{name}_dropout": part.dropout}
        return found

    def forward(self, x: Array, *keep: Array) -> Array:
        """(B, T, D) -> (B, T, D); `keep` as of `MultiHeadAttention`."""
        return self.ffn.forward(self.attention.forward(x, *keep))

    def backward(self, dy: Array) -> Array:
        """(B, T, D) -> (B, T, D)."""
        return self.attention.backward(self.ffn.backward(dy))


def transformer_block(
    size: int,
    heads: int,
    hidden: int,
    *,
    activation: Layer | None = None,
    is_norm_first: bool = True,
    p: float = 0.0,
    rng: np.random.Generator | None = None,
    dtype: str = "float32",
) -> TransformerBlock:
    """A block of the usual parts; arguments as of `MultiHeadAttention`, `FeedForward` and `Residual`."""
    attention = MultiHeadAttention(size, heads, rng, dtype)
    ffn = FeedForward(size, hidden, activation, p, rng, dtype)
    return TransformerBlock(*(Residual(layer, size, is_norm_first, p, dtype) for layer in (attention, ffn)))
