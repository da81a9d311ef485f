"""A recurrent encoder and decoder with attention between them.

Symbols: B samples, T positions of the longest source, U positions of the longest target, V tokens of the target's
vocabulary, D size of the vector of a token, H units of a layer, M size of the memory of a source position (H, or 2 H
for two directions), A size of the space in which attention compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from dlexp.models.recurrent.gates import States
from dlexp.models.recurrent.layers import Recurrence, RecurrentLayer
from dlexp.models.seq2seq.attention import SourceAttention
from dlexp.models.sequences.inputs import SeriesSteps, TokenVectors, at_least_one_position, kept_positions
from dlexp.models.sequences.pooling import SequencePooling


@dataclass(frozen=True)
class Seq2SeqState:
    """What a decoder keeps between two tokens.

    layers  the states of its layers, (B, H) each
    memory  (B, T, M) the source as the encoder has read it
    keys    (B, T, A) what attention compares with, None without attention
    kept    (B, T) bool: which positions are no padding
    """

    layers: tuple[States, ...]
    memory: Tensor
    keys: Tensor | None
    kept: Tensor

    def select(self, positions: Tensor) -> Self:
        """The states of the sequences at `positions` (K,)."""
        layers = tuple(tuple(part[positions] for part in layer) for layer in self.layers)
        keys = None if self.keys is None else self.keys[positions]
        return type(self)(layers, self.memory[positions], keys, self.kept[positions])


class SequenceEncoder(nn.Module):
    """(B, T) token ids or (B, T, C) steps -> memory (B, T, M), and the final output of each layer (B, M).

    The final output is that of the last own position, and for two directions also the backward one's of the first: each
    has read all of its sequence. Zeros for an empty one.
    """

    def __init__(
        self,
        vectors: TokenVectors | SeriesSteps,
        layers: Sequence[RecurrentLayer],
        final: SequencePooling,
        dropout: float,
    ) -> None:
        super().__init__()
        self.vectors, self.layers, self.final = vectors, nn.ModuleList(layers), final
        self.between = nn.Dropout(dropout)

    def forward(self, values: Tensor, lengths: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """-> memory, finals."""
        x, finals = self.vectors(values), []
        for layer in self.layers:
            x = layer(self.between(x), lengths)
            finals.append(self.final(x, lengths))
        return x, finals


class SequenceDecoder(nn.Module):
    """Previous tokens and a state -> scores of the next ones.

    Attention reads the outputs of the last layer (Luong et al. 2015): so in training all positions of a target are
    computed together. The context and the output are combined, tanh(W [context; output]), before the output layer.
    """

    def __init__(
        self,
        vectors: TokenVectors,
        layers: Sequence[Recurrence],
        attention: SourceAttention | None,
        sizes: tuple[int, int, int],
        dropout: float,
    ) -> None:
        """sizes: H, M and V."""
        super().__init__()
        units, memory, num_outputs = sizes
        self.vectors, self.layers, self.attention = vectors, nn.ModuleList(layers), attention
        self.between, self.last = nn.Dropout(dropout), nn.Dropout(dropout)
        self.combine = None if attention is None else nn.Linear(units + memory, units)
        self.output = nn.Linear(units, num_outputs)

    def read(self, tokens: Tensor, state: Seq2SeqState) -> tuple[Tensor, tuple[States, ...]]:
        """(B, U) tokens -> outputs of the last layer (B, U, H), and the states of the layers behind them."""
        x, states = self.vectors(tokens), []
        for layer, own in zip(self.layers, state.layers, strict=True):
            x, after = layer(self.between(x), own)
            states.append(after)
        return x, tuple(states)

    def scores(self, outputs: Tensor, state: Seq2SeqState) -> Tensor:
        """(B, U, H) -> (B, U, V)."""
        if self.attention is not None and self.combine is not None and state.keys is not None:
            context = self.attention(outputs, state.keys, state.memory, state.kept)
            outputs = self.combine(torch.cat([context, outputs], -1)).tanh()
        found: Tensor = self.output(self.last(outputs))
        return found


class Seq2SeqNetwork(nn.Module):
    """Encoder, a bridge to the first state of the decoder, and decoder.

    Each layer of the decoder begins with tanh(W f + b) of the final output f of the encoder's layer of its number.

    feeds_back  its own outputs may be its inputs in training, at the cost of a step for each token
    """

    feeds_back: ClassVar[bool] = True

    def __init__(
        self, encoder: SequenceEncoder, bridge: Sequence[nn.Linear], decoder: SequenceDecoder, begin: int, states: int
    ) -> None:
        """begin: the id of the token that a target begins with; states: tensors (B, H) of the state of a layer."""
        super().__init__()
        self.encoder, self.bridge, self.decoder = encoder, nn.ModuleList(bridge), decoder
        self.begin, self.states = begin, states

    def initial(self, values: Tensor, lengths: Tensor | None = None) -> Seq2SeqState:
        """The state of the decoder in front of the first token of the targets."""
        values = at_least_one_position(values)
        memory, finals = self.encoder(values, lengths)
        layers = tuple(
            tuple(bridge(final).tanh().chunk(self.states, -1))
            for bridge, final in zip(self.bridge, finals, strict=True)
        )
        attention = self.decoder.attention
        keys = None if attention is None else attention.keys(memory)
        return Seq2SeqState(
            tuple(tuple(part.contiguous() for part in layer) for layer in layers),
            memory,
            keys,
            kept_positions(values, lengths),
        )

    def forward(
        self,
        values: Tensor,
        lengths: Tensor | None,
        previous: Tensor,
        previous_lengths: Tensor | None = None,
    ) -> Tensor:
        """Scores (B, U, V) of each target token, given those before it.

        Args:
            values: (B, T) token ids or (B, T, C) steps of the sources.
            lengths: (B,) of the sources; None for T.
            previous: (B, U) target tokens shifted right, beginning with `begin`.
            previous_lengths: (B,) of the targets: what stands behind changes nothing, and has no meaning in the output.
        """
        state = self.initial(values, lengths)
        return self.decoder.scores(self.decoder.read(previous, state)[0], state)

    def start(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Seq2SeqState]:
        """Scores (B, V) of the first token of each target, and the state."""
        state = self.initial(values, lengths)
        return self.step(torch.full((len(values),), self.begin, device=values.device), state)

    def step(self, tokens: Tensor, state: Seq2SeqState) -> tuple[Tensor, Seq2SeqState]:
        """Scores (B, V) of the token after `tokens` (B,), and the state."""
        outputs, layers = self.decoder.read(tokens[:, None], state)
        after = Seq2SeqState(layers, state.memory, state.keys, state.kept)
        return self.decoder.scores(outputs, state)[:, 0], after

    def attention_maps(
        self,
        values: Tensor,
        lengths: Tensor | None,
        previous: Tensor,
        previous_lengths: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The weights of the source positions, "decoder.cross" (B, 1, U, T); {} without attention."""
        state = self.initial(values, lengths)
        if self.decoder.attention is None or state.keys is None:
            return {}
        outputs, _ = self.decoder.read(previous, state)
        return {"decoder.cross": self.decoder.attention.weights(outputs, state.keys, state.kept).unsqueeze(1)}
