"""Layers on top of each other, and what stands in front of them.

Symbols: B samples, T positions, D size of a token, H heads, V tokens of the vocabulary, C channels of a series.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlexp.models.sequences.inputs import kept_positions
from dlexp.models.transformer.attention import Pattern, head_size, pattern
from dlexp.models.transformer.cache import KeyValueCache
from dlexp.models.transformer.layers import Sizes, TransformerLayer
from dlexp.models.transformer.positions import Positions, Relative


def attended_positions(values: Tensor, lengths: Tensor | None) -> Tensor | None:
    """(B, T) bool: True where a position belongs to its sequence; None without lengths, where all do."""
    return None if lengths is None else kept_positions(values, lengths)


def key_pattern(keep: Tensor | None) -> Pattern:
    """Every query keeps the same keys, (B, K) bool."""
    return pattern(None if keep is None else keep[:, None, None])


class InputVectors(nn.Module):
    """Tokens or steps of a series become vectors of size D, with their positions: (B, T) or (B, T, C) -> (B, T, D).

    Args:
        name: Name of the network, for messages.
        vocabulary_size: V of tokens, None for a series.
        in_channels: C of a series.
        positions: What positions add.
        scale: Factor of the vectors.
        dropout: Probability in [0, 1) that a component is zeroed in training.

    Raises ValueError where the data are neither.
    """

    def __init__(
        self,
        name: str,
        vocabulary_size: int | None,
        in_channels: int | None,
        positions: Positions,
        scale: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.scale, self.positions, self.dropout = scale, positions, nn.Dropout(dropout)
        self.vectors: nn.Embedding | nn.Linear
        if vocabulary_size is not None:
            self.vectors = nn.Embedding(vocabulary_size, positions.token)
        elif in_channels is not None:
            self.vectors = nn.Linear(in_channels, positions.token)
        else:
            raise ValueError(f"{name} requires sequences: vocabulary_size of tokens, or in_channels of series")

    def forward(self, values: Tensor, at: Tensor, end: int, first: Tensor | None = None) -> Tensor:
        """(B, T, D) of values at positions `at` (T,) or (B, T), all below `end`; `first` (D,) is put in front."""
        x: Tensor = self.vectors(values)
        if self.scale != 1.0:
            x = x * self.scale
        if first is not None:
            x = torch.cat([first.to(x.dtype).expand(x.shape[0], 1, -1), x], 1)
        added = self.positions(at, end)
        x = x if added is None else x + added.to(x.dtype)
        found: Tensor = self.dropout(x)
        return found


class Stack(nn.Module):
    """Layers, and a last normalization where they have theirs in front.

    Args:
        sizes: Sizes and kinds of the layers.
        layers: Their number.
        positions: Kind of the positions.
        has_cross: Whether they attend to another sequence.
    """

    def __init__(self, sizes: Sizes, layers: int, positions: str, has_cross: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList([TransformerLayer(sizes, has_cross) for _ in range(layers)])
        self.norm = sizes.last_normalization()
        self.relative = Relative(positions, head_size(sizes.token, sizes.heads, sizes.kv_heads), sizes.heads)

    def forward(
        self, x: Tensor, given: Pattern, weights: list[Tensor] | None = None, memory: Tensor | None = None,
        memory_pattern: Pattern | None = None,
    ) -> Tensor:  # fmt: skip
        """(B, T, D) -> (B, T, D); `weights` gets those of all attentions in their order."""
        for layer in self.layers:
            x = layer(x, given, memory, memory_pattern, weights)
        found: Tensor = self.norm(x)
        return found

    def both_ways(self, x: Tensor, keep: Tensor | None) -> Pattern:
        """The pattern in which all positions of x (B, T, D) attend to those that are kept, (B, T) bool."""
        at = torch.arange(x.shape[1], device=x.device)
        mask = None if keep is None else keep[:, None, None]
        return pattern(mask, self.relative.bias(at, at), self.relative.rotation(at))

    def causal(self, x: Tensor, keep: Tensor | None = None) -> Pattern:
        """The pattern in which position t of x (B, T, D) attends to those up to t.

        Padding is behind every position of its own, so a mask of it changes attention weights of padding alone.
        """
        at = torch.arange(x.shape[1], device=x.device)
        bias, rotation = self.relative.bias(at, at), self.relative.rotation(at)
        if bias is None and keep is None:
            return Pattern(is_causal=True, rotation=rotation)
        mask = at <= at[:, None]
        return pattern(mask if keep is None else mask & keep[:, None, None], bias, rotation)

    def continued(
        self, x: Tensor, at: Tensor, past: KeyValueCache, keep: Tensor | None = None
    ) -> tuple[Tensor, KeyValueCache]:
        """(B, T, D) of positions behind those of `past`, and what is kept of all.

        Args:
            x: New positions; T = 1, or `past` is empty.
            at: (B, T), their positions in the sequences.
            past: Of earlier positions.
            keep: (B, T) bool, which belong to their sequences; None for all.
        """
        ends = at[:, -1:] + 1 if keep is None else at.masked_fill(~keep, -1).amax(1, keepdim=True) + 1
        state = past.extended(keep, at, ends)
        mask = state.keep[:, None, None] if state.has_gaps else None
        if x.shape[1] > 1:
            order = at[:, None, None, :] <= at[:, None, :, None]
            mask = order if mask is None else mask & order
        given = pattern(mask, self.relative.bias(at, state.at), self.relative.rotation(at))
        from_source = key_pattern(state.sources)
        x = x if x.shape[1] != 1 else x[:, 0]
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, TransformerLayer)
            read = state.read[number] if state.read else None
            x = layer.continued(x, given, state.layer(number), read, from_source)
        found: Tensor = self.norm(x)
        return found if found.ndim == 3 else found[:, None], state
