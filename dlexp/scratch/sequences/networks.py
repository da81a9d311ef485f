"""Networks of sequences, of the layers of this room.

Symbols: B samples, T positions of the longest sequence of a batch, V tokens of the vocabulary, C channels of a series,
D size of the vector of a position, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.scratch.dense import Dense
from dlexp.scratch.dropout import Dropout
from dlexp.scratch.layer import Array, Layer
from dlexp.scratch.normalization import LayerNorm
from dlexp.scratch.sequences.embedding import Embedding
from dlexp.scratch.sequences.pooling import SequencePooling
from dlexp.scratch.sequences.positions import kept_positions, sinusoids
from dlexp.scratch.sequences.recurrent import Recurrent, TwoDirections
from dlexp.scratch.sequences.transformer import TransformerBlock


class RecurrentNetwork(Layer):
    """(B, T) token ids or (B, T, C) steps, and lengths (B,) -> (B, O), or (B, T, O) without pooling.

    Args:
        vectors: Makes vectors of tokens; None for a series, which is read as it is.
        layers: The recurrent layers, the first one first.
        pooling: How the outputs of all positions become one; None for outputs at each position.
        output: The last layer.
        dropout: Probability in [0, 1) that an output of a layer is zeroed in training, in front of the next layer.
        output_dropout: The same in front of the output layer.
    """

    def __init__(
        self,
        vectors: Embedding | None,
        layers: Sequence[Recurrent | TwoDirections],
        pooling: SequencePooling | None,
        output: Dense,
        *,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.vectors, self.stack, self.pooling, self.output = vectors, list(layers), pooling, output
        self.between = [Dropout(dropout) for _ in self.stack[1:]]
        self.output_dropout = Dropout(output_dropout)

    def children(self) -> dict[str, Layer]:
        """All layers in the order in which they are run, named as in dlexp's own recurrent networks."""
        found: dict[str, Layer] = {} if self.vectors is None else {"vectors": self.vectors}
        for number, layer in enumerate(self.stack):
            found |= {f"between.{number - 1}": self.between[number - 1]} if number else {}
            found[f"layers.{number}.ahead.layer" if isinstance(layer, Recurrent) else f"layers.{number}"] = layer
        found |= {} if self.pooling is None else {"pooling": self.pooling}
        return {**found, "output_dropout": self.output_dropout, "output": self.output}

    def forward(self, x: Array, *lengths: Array) -> Array:
        """-> (B, O) or (B, T, O)."""
        x = x if self.vectors is None else self.vectors.forward(x)
        for number, layer in enumerate(self.stack):
            x = layer.forward(self.between[number - 1].forward(x) if number else x, *lengths)
        if self.pooling is not None:
            x = self.pooling.forward(x, *lengths)
        return self.output.forward(self.output_dropout.forward(x))

    def backward(self, dy: Array) -> Array:
        """(B, O) or (B, T, O) -> the gradient of the values, zeros for tokens."""
        dx = self.output_dropout.backward(self.output.backward(dy))
        if self.pooling is not None:
            dx = self.pooling.backward(dx)
        for number, layer in reversed([*enumerate(self.stack)]):
            dx = layer.backward(dx)
            dx = self.between[number - 1].backward(dx) if number else dx
        return dx if self.vectors is None else self.vectors.backward(dx)


class TransformerEncoder(Layer):
    """(B, T) token ids or (B, T, C) steps, and lengths (B,) -> (B, O), or (B, T, O) without pooling.

    The vectors of tokens are multiplied by sqrt(D) (Vaswani et al. 2017, arXiv:1706.03762, section 3.4).

    Args:
        vectors: Makes vectors of size D of tokens, or of the steps of a series.
        size: D.
        blocks: The blocks, the first one first.
        norm: What follows the last block, where blocks are normalized in front; None for nothing.
        pooling: How the outputs of all positions become one; None for outputs at each position.
        head: The last layer.
        has_positions: Whether sinusoids tell where a vector stands.
        dropout: Probability in [0, 1) that a number of the vectors is zeroed in training.
    """

    def __init__(
        self,
        vectors: Embedding | Dense,
        size: int,
        blocks: Sequence[TransformerBlock],
        norm: LayerNorm | None,
        pooling: SequencePooling | None,
        head: Dense,
        *,
        has_positions: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.vectors, self.blocks, self.norm, self.pooling, self.head = vectors, list(blocks), norm, pooling, head
        self.size, self.has_positions, self.dropout = size, has_positions, Dropout(dropout)
        self.scale = size**0.5 if isinstance(vectors, Embedding) else 1.0

    def children(self) -> dict[str, Layer]:
        """All layers in the order in which they are run, named as in dlexp's own transformers."""
        found: dict[str, Layer] = {"entry.vectors": self.vectors, "entry.dropout": self.dropout}
        found |= {f"stack.layers.{number}": block for number, block in enumerate(self.blocks)}
        found |= {} if self.norm is None else {"stack.norm": self.norm}
        found |= {} if self.pooling is None else {"pooling": self.pooling}
        return {**found, "head": self.head}

    def forward(self, x: Array, *lengths: Array) -> Array:
        """-> (B, O) or (B, T, O); every position attends to all own positions of its sequence."""
        x = self.vectors.forward(x) * self.scale
        if self.has_positions:
            x = x + sinusoids(x.shape[1], self.size).astype(x.dtype)
        x = self.dropout.forward(x)
        keep = [kept_positions(x, lengths)[:, None, None]] if lengths else []  # (B, 1, 1, T)
        for block in self.blocks:
            x = block.forward(x, *keep)
        if self.norm is not None:
            x = self.norm.forward(x)
        if self.pooling is not None:
            x = self.pooling.forward(x, *lengths)
        return self.head.forward(x)

    def backward(self, dy: Array) -> Array:
        """(B, O) or (B, T, O) -> the gradient of the values, zeros for tokens."""
        dx = self.head.backward(dy)
        if self.pooling is not None:
            dx = self.pooling.backward(dx)
        if self.norm is not None:
            dx = self.norm.backward(dx)
        for block in reversed(self.blocks):
            dx = block.backward(dx)
        return self.vectors.backward(self.dropout.backward(dx) * self.scale)
