"""A recurrent network: vectors of the positions, recurrent layers, pooling and an output layer.

Symbols: B samples, T positions of the longest sequence of the batch, V tokens of the vocabulary, C channels of a
series, D size of the vector of a position, H units of a layer, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from dlexp.models.recurrent.gates import States
from dlexp.models.recurrent.layers import Recurrence, RecurrentLayer
from dlexp.models.sequences.inputs import SeriesSteps, TokenVectors, at_least_one_position, refuse_tokens_of_series
from dlexp.models.sequences.pooling import SequencePooling, last_state


@dataclass(frozen=True)
class RecurrentState:
    """The states of all layers after the last step, (B, H) each."""

    layers: tuple[States, ...]

    def select(self, positions: Tensor) -> Self:
        """The states of the sequences at `positions` (K,)."""
        return type(self)(tuple(tuple(part[positions] for part in layer) for layer in self.layers))


class RecurrentNetwork(nn.Module):
    """(B, T) token ids or (B, T, C) steps, and lengths (B,) -> (B, O), or (B, T, O) without pooling.

    At padded positions outputs have no meaning. A sequence of length 0 is one of zeros.

    Args:
        vectors: The first layer.
        layers: The recurrent layers.
        pooling: How the outputs of all positions become one; None for outputs at each position.
        output: (..., H) -> (..., O).
        dropout: Probability in [0, 1) that an output of a layer is zeroed in training, in front of the next layer.
        output_dropout: The same in front of the output layer.
    """

    def __init__(
        self,
        vectors: TokenVectors | SeriesSteps,
        layers: Sequence[RecurrentLayer],
        pooling: SequencePooling | None,
        output: nn.Linear,
        *,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.vectors, self.layers = vectors, nn.ModuleList(layers)
        self.between = nn.Dropout(dropout)  # torch's own between layers of cuDNN keeps a state of its own
        self.pooling, self.output_dropout, self.output = pooling, nn.Dropout(output_dropout), output

    @property
    def is_causal(self) -> bool:
        """Whether the output at a position depends on this position and those before it alone."""
        return self.pooling is None and self._reads_forward

    @property
    def _reads_forward(self) -> bool:
        return all(layer.back is None for layer in self.layers if isinstance(layer, RecurrentLayer))

    @property
    def _forward_directions(self) -> list[Recurrence]:
        return [layer.ahead for layer in self.layers if isinstance(layer, RecurrentLayer)]

    def states(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The outputs of the last layer, (B, T, H), or (B, T, 2 H) for two directions."""
        x: Tensor = self.vectors(at_least_one_position(values))
        for number, layer in enumerate(self.layers):
            x = layer(self.between(x) if number else x, lengths)
        return x

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """-> (B, O) or (B, T, O)."""
        states = self.states(values, lengths)
        if self.pooling is not None:
            states = self.pooling(states, lengths)
        elif not values.shape[1]:
            states = states[:, :0]
        found: Tensor = self.output(self.output_dropout(states))
        return found

    def attention_maps(self, values: Tensor, lengths: Tensor | None = None) -> dict[str, Tensor]:
        """The weights of the positions, "pooling" (B, 1, 1, T), where pooling is attention; else none."""
        return {} if self.pooling is None else self.pooling.attention_maps(self.states(values, lengths), lengths)

    def start(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, RecurrentState]:
        """Scores (B, V) of the token after each of the prompts (B, T) of these lengths, and the state after them.

        Raises ValueError for a network of series, of two directions, or with pooling.
        """
        self._refuse_no_language_model()
        x, states = self.vectors(at_least_one_position(values)), []
        for number, direction in enumerate(self._forward_directions):
            x, state = direction.read(self.between(x) if number else x, lengths)
            states.append(state)
        last = last_state(x, lengths).masked_fill((lengths == 0)[:, None], 0)
        return self.output(self.output_dropout(last)), RecurrentState(tuple(states))

    def step(self, tokens: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """Scores (B, V) of the token after `tokens` (B,), and the state."""
        x, states = self.vectors(tokens[:, None]), []
        for number, direction in enumerate(self._forward_directions):
            x, own = direction(self.between(x) if number else x, state.layers[number])
            states.append(own)
        return self.output(self.output_dropout(x[:, -1])), RecurrentState(tuple(states))

    def _refuse_no_language_model(self) -> None:
        refuse_tokens_of_series("a recurrent network", self.vectors)
        if self.pooling is not None:
            raise ValueError(
                "a network with one output for each sequence puts out no next token. Use task=language_model"
            )
        if not self._reads_forward:
            raise ValueError("a network of two directions reads what it should put out. Use model.bidirectional=false")
