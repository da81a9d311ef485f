"""Transformer encoder: sequences to a vector, to a class or value each, or to one for each position.

Symbols: B samples, T positions of the longest sequence of a batch, C channels of a series, D size of a token, H heads,
O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.models.transformer.initialization import initialize_as_published_first
from dlexp.models.transformer.layers import Sizes
from dlexp.models.transformer.positions import Positions
from dlexp.models.transformer.stacks import InputVectors, Stack, attended_positions

__all__ = ["transformer_encoder"]
POOLINGS = ("mean", "max", "token")


class TransformerEncoder(nn.Module):
    """Encoder layers, and a linear layer for the whole sequence or for each position.

    Args:
        entry: What makes vectors of size D of the inputs.
        stack: The layers.
        num_outputs: O.
        pooling: mean or max of the positions of a sequence, or token (a learned vector in front of it, whose output
            stands for all); None for an output at each position.

    Raises ValueError for an unknown pooling.
    """

    def __init__(self, entry: InputVectors, stack: Stack, num_outputs: int, pooling: str | None) -> None:
        super().__init__()
        if pooling not in (None, *POOLINGS):
            raise ValueError(f"unknown pooling={pooling!r} of a transformer; available: {', '.join(POOLINGS)}")
        self.entry, self.stack, self.pooling = entry, stack, pooling
        token = entry.positions.token
        self.first = nn.Parameter(torch.zeros(token)) if pooling == "token" else None
        self.head = nn.Linear(token, num_outputs)

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) or (B, T, C) -> (B, O), or (B, T, O) with an output at each position; padding changes nothing.

        Raises ValueError for sequences longer than learned positions.
        """
        states, keep = self._states(values, lengths, None)
        found: Tensor = self.head(self._pooled(states, keep))
        return found

    def attention_maps(self, values: Tensor, lengths: Tensor | None = None) -> Mapping[str, Tensor]:
        """Weights (B, H, T, T) by the names encoder.0, ...; with pooling=token of T + 1 positions, its token first."""
        weights: list[Tensor] = []
        self._states(values, lengths, weights)
        return {f"encoder.{number}": found for number, found in enumerate(weights)}

    def _states(
        self, values: Tensor, lengths: Tensor | None, weights: list[Tensor] | None
    ) -> tuple[Tensor, Tensor | None]:
        keep = attended_positions(values, lengths)
        end = values.shape[1] + (self.first is not None)
        if keep is not None and self.first is not None:
            keep = F.pad(keep, (1, 0), value=True)
        at = torch.arange(end, device=values.device)
        x = self.entry(values, at, end, self.first)
        return self.stack(x, self.stack.both_ways(x, keep), weights), keep

    def _pooled(self, states: Tensor, keep: Tensor | None) -> Tensor:
        if self.pooling is None:
            return states
        if self.pooling == "token":
            return states[:, 0]
        if keep is None:
            return states.mean(1) if self.pooling == "mean" else states.amax(1)
        if self.pooling == "mean":
            return (states * keep.unsqueeze(-1)).sum(1) / keep.sum(1, keepdim=True).clamp(min=1)
        largest = states.masked_fill(~keep.unsqueeze(-1), torch.finfo(states.dtype).min).amax(1)
        return largest.masked_fill(~keep[:, :1], 0)


def transformer_encoder(
    *,
    num_outputs: int,
    max_length: int,
    vocabulary_size: int | None = None,
    in_channels: int | None = None,
    per_position: bool = False,
    token: int = 64,
    blocks: int = 2,
    heads: int = 4,
    kv_heads: int | None = None,
    ffn_factor: float = 4.0,
    ffn: str = "gelu",
    norm: str = "layer",
    norm_place: str = "before",
    positions: str = "sinusoidal",
    max_positions: int | None = None,
    pooling: str = "mean",
    dropout: float = 0.1,
    attention_dropout: float = 0.0,
) -> TransformerEncoder:
    """Encoder of a transformer (Vaswani et al. 2017): (B, T) tokens or (B, T, C) -> (B, O), or (B, T, O).

    Args:
        num_outputs: O.
        max_length: Positions of the longest sequence of the data.
        vocabulary_size: Number of tokens; None for a series.
        in_channels: C of a series.
        per_position: Whether there is an output at each position.
        token: D, a multiple of heads.
        blocks: Number of layers.
        heads: H.
        kv_heads: Heads of keys and values, which divide H; None for H.
        ffn_factor: Units of a feed-forward layer over D.
        ffn: relu, gelu, gelu_tanh, silu, swiglu, geglu or reglu.
        norm: layer or rms.
        norm_place: before a sublayer, or after its sum with the residual.
        positions: sinusoidal, learned, rotary, alibi or none.
        max_positions: Positions that learned ones exist for; None for those of the data.
        pooling: mean, max or token; without effect with an output at each position.
        dropout: Probability in [0, 1) that a component of a token, of what a layer adds or of a hidden unit is zeroed.
        attention_dropout: Probability in [0, 1) that an attention weight is zeroed.

    Raises ValueError for unknown names, sizes that do not divide, and max_positions below the longest sequence.
    """
    sizes = Sizes(token, heads, kv_heads, ffn_factor, ffn, norm, norm_place, dropout, attention_dropout)
    length = positions_for(positions, max_length, max_positions, more=int(pooling == "token" and not per_position))
    place = Positions(positions, token, length)
    entry = InputVectors(
        "transformer_encoder", vocabulary_size, in_channels, place, _scale(token, vocabulary_size), dropout
    )
    network = TransformerEncoder(entry, Stack(sizes, blocks, positions), num_outputs, None if per_position else pooling)
    initialize_as_published_first(network, sqrt(token))
    if network.first is not None:
        nn.init.normal_(network.first, 0.0, 1.0)
    return network


def _scale(token: int, vocabulary_size: int | None) -> float:
    """Embeddings are multiplied by sqrt(D); steps of a series are not."""
    return 1.0 if vocabulary_size is None else sqrt(token)


def positions_for(kind: str, max_length: int, max_positions: int | None, more: int = 0) -> int:
    """Number of positions of learned ones.

    Args:
        kind: Kind of the positions.
        max_length: Positions of the longest sequence of the data.
        max_positions: As configured; None for as many as the data have.
        more: Positions in front of a sequence.

    Raises ValueError where learned positions are fewer than the data have.
    """
    needed = max_length + more
    if kind == "learned" and max_positions is not None and max_positions < needed:
        raise ValueError(
            f"max_positions={max_positions} must be at least {needed}, the positions of the longest sequence of the "
            f"data. Set model.max_positions={needed} or model.positions=sinusoidal"
        )
    return needed if max_positions is None else max_positions
