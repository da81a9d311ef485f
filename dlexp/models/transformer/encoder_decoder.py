"""Transformer encoder-decoder: a sequence to another one (Vaswani et al. 2017, arXiv:1706.03762).

Symbols: B samples, T positions of the longest source, U positions of the longest target, C channels of a series, D size
of a token, H heads, V tokens of the targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt

import torch
from torch import Tensor, nn

from dlexp.models.transformer.attention import CrossAttention
from dlexp.models.transformer.cache import KeyValueCache, empty_cache
from dlexp.models.transformer.encoder import positions_for
from dlexp.models.transformer.initialization import initialize_as_published_first
from dlexp.models.transformer.layers import Sizes, TransformerLayer
from dlexp.models.transformer.positions import Positions
from dlexp.models.transformer.stacks import InputVectors, Stack, attended_positions, key_pattern

__all__ = ["transformer"]


class Transformer(nn.Module):
    """Encoder, decoder and a linear layer.

    Args:
        entries: What makes vectors of size D of the source and of the targets.
        encoder: Layers of the source.
        decoder: Layers of the target, which attend to the source.
        num_outputs: V.
        begin: Id of the token that targets start from; None for a network that generates nothing.
        tied: Whether the weights of the last layer are the embeddings of the targets.
    """

    def __init__(
        self,
        entries: tuple[InputVectors, InputVectors],
        encoder: Stack,
        decoder: Stack,
        num_outputs: int,
        begin: int | None = None,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.source_entry, self.target_entry = entries
        self.encoder, self.decoder, self.begin = encoder, decoder, begin
        self.head = nn.Linear(entries[1].positions.token, num_outputs)
        if tied:
            assert isinstance(self.target_entry.vectors, nn.Embedding)
            self.head.weight = self.target_entry.vectors.weight

    def forward(
        self, values: Tensor, lengths: Tensor | None, previous: Tensor, previous_lengths: Tensor | None = None
    ) -> Tensor:
        """Scores (B, U, V) of the target tokens.

        Args:
            values: (B, T) or (B, T, C), the sources.
            lengths: (B,), theirs.
            previous: (B, U) target tokens shifted to the right, the first one `begin`.
            previous_lengths: (B,), theirs; padding is behind what counts, so they change nothing.

        Raises ValueError for sequences longer than learned positions.
        """
        del previous_lengths
        memory = self.encode(values, lengths)
        x = self._embedded(previous)
        found = key_pattern(attended_positions(values, lengths))
        scores: Tensor = self.head(self.decoder(x, self.decoder.causal(x), None, memory, found))
        return scores

    def encode(self, values: Tensor, lengths: Tensor | None = None, weights: list[Tensor] | None = None) -> Tensor:
        """(B, T, D) of the sources; `weights` gets those of the encoder."""
        at = torch.arange(values.shape[1], device=values.device)
        x = self.source_entry(values, at, values.shape[1])
        found: Tensor = self.encoder(x, self.encoder.both_ways(x, attended_positions(values, lengths)), weights)
        return found

    def attention_maps(
        self, values: Tensor, lengths: Tensor | None, previous: Tensor, previous_lengths: Tensor | None = None
    ) -> Mapping[str, Tensor]:
        """Weights by name: encoder.0 (B, H, T, T), decoder.0.self (B, H, U, U), decoder.0.cross (B, H, U, T), ..."""
        weights: list[Tensor] = []
        memory = self.encode(values, lengths, weights)
        names = [f"encoder.{number}" for number in range(len(weights))]
        x = self._embedded(previous)
        own = self.decoder.causal(x, attended_positions(previous, previous_lengths))
        self.decoder(x, own, weights, memory, key_pattern(attended_positions(values, lengths)))
        names += [f"decoder.{n}.{part}" for n in range(len(self.decoder.layers)) for part in ("self", "cross")]
        return dict(zip(names, weights, strict=True))

    def start(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, KeyValueCache]:
        """Scores (B, V) of the first target token, and the state to go on from; see dlexp.models.stepwise.

        Raises ValueError where the data have no token that targets begin with.
        """
        if self.begin is None:
            raise ValueError("transformer generates from a token that targets begin with, and these targets have none")
        state = self.initial(values, lengths)
        return self.step(torch.full((len(values),), self.begin, device=values.device), state)

    def initial(self, values: Tensor, lengths: Tensor | None) -> KeyValueCache:
        """The state in front of the first target token."""
        memory = self.encode(values, lengths)
        read = tuple(_cross(layer).read(memory) for layer in self.decoder.layers)
        state = empty_cache(values.shape[0], values.device)
        return replace(state, read=read, sources=attended_positions(values, lengths))

    def step(self, tokens: Tensor, state: KeyValueCache) -> tuple[Tensor, KeyValueCache]:
        """Scores (B, V) of the token behind `tokens` (B,), and the next state."""
        x = self.target_entry(tokens[:, None], state.ends, state.length + 1)
        states, state = self.decoder.continued(x, state.ends, state)
        return self.head(states[:, -1]), state

    def _embedded(self, previous: Tensor) -> Tensor:
        at = torch.arange(previous.shape[1], device=previous.device)
        found: Tensor = self.target_entry(previous, at, previous.shape[1])
        return found


def _cross(layer: nn.Module) -> CrossAttention:
    assert isinstance(layer, TransformerLayer) and layer.cross is not None
    return layer.cross


def transformer(
    *,
    num_outputs: int,
    max_length: int,
    target_max_length: int,
    vocabulary_size: int | None = None,
    in_channels: int | None = None,
    begin: int | None = None,
    token: int = 64,
    blocks: int = 2,
    decoder_blocks: int = 2,
    heads: int = 4,
    kv_heads: int | None = None,
    ffn_factor: float = 4.0,
    ffn: str = "relu",
    norm: str = "layer",
    norm_place: str = "before",
    positions: str = "sinusoidal",
    max_positions: int | None = None,
    tied: bool = False,
    dropout: float = 0.1,
    attention_dropout: float = 0.0,
) -> Transformer:
    """Transformer (Vaswani et al. 2017): sources (B, T) or (B, T, C), shifted targets (B, U) -> (B, U, V).

    Args:
        num_outputs: V.
        max_length: Positions of the longest source of the data.
        target_max_length: Positions of the longest target.
        vocabulary_size: Number of tokens of the sources; None for a series.
        in_channels: C of a series.
        begin: Id of the token that targets start from; None for targets without, which nothing can be generated from.
        token: D, a multiple of heads.
        blocks: Number of layers of the encoder.
        decoder_blocks: Number of layers of the decoder.
        heads: H.
        kv_heads: Heads of keys and values, which divide H; None for H.
        ffn_factor: Units of a feed-forward layer over D.
        ffn: relu, gelu, gelu_tanh, silu, swiglu, geglu or reglu.
        norm: layer or rms.
        norm_place: before a sublayer, or after its sum with the residual.
        positions: sinusoidal, learned, rotary, alibi or none.
        max_positions: Positions that learned ones exist for; None for those of the data.
        tied: Whether the weights of the last layer are the embeddings of the targets.
        dropout: Probability in [0, 1) that a component of a token, of what a layer adds or of a hidden unit is zeroed.
        attention_dropout: Probability in [0, 1) that an attention weight is zeroed.

    Raises ValueError for unknown names, sizes that do not divide, and max_positions below the longest sequence.
    """
    sizes = Sizes(token, heads, kv_heads, ffn_factor, ffn, norm, norm_place, dropout, attention_dropout)
    # Begin takes the place of the last token, so shifted targets are as long as targets.
    lengths = [positions_for(positions, n, max_positions) for n in (max_length, target_max_length)]
    source, target = (Positions(positions, token, n) for n in lengths)
    scale = 1.0 if vocabulary_size is None else sqrt(token)
    first = InputVectors("transformer", vocabulary_size, in_channels, source, scale, dropout)
    entries = first, InputVectors("transformer", num_outputs, None, target, sqrt(token), dropout)
    encoder, decoder = Stack(sizes, blocks, positions), Stack(sizes, decoder_blocks, positions, has_cross=True)
    network = Transformer(entries, encoder, decoder, num_outputs, begin, tied)
    initialize_as_published_first(network, sqrt(token))
    return network
