"""First layers of networks that read sequences: tokens become vectors, series come as they are; masks of lengths.

Symbols: B samples, T positions of the longest sequence of the batch, V tokens of the vocabulary, C channels of a
series, D size of the vector of a position.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TokenVectors(nn.Embedding):
    """Learned vectors of tokens: (B, T) int64 in [0, V) -> (B, T, D)."""


class SeriesSteps(nn.Module):
    """The steps of a series, as they are: (B, T, C) -> (B, T, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embedding_dim = channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> the same."""
        return x


def position_vectors(
    name: str, vocabulary_size: int | None, in_channels: int | None, token: int
) -> TokenVectors | SeriesSteps:
    """The first layer for tokens or for series; its `embedding_dim` is the size D of the vector of a position.

    Args:
        name: Name of the model, for messages.
        vocabulary_size: V; None for a series.
        in_channels: C of a series.
        token: D of tokens.

    Raises ValueError where the data are neither.
    """
    if vocabulary_size is not None:
        return TokenVectors(vocabulary_size, token)
    if in_channels is None:
        raise ValueError(f"{name} requires sequences: vocabulary_size of tokens, or in_channels of series")
    return SeriesSteps(in_channels)


def kept_positions(x: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T) bool: True where a position of `x` (B, T, ...) belongs to its sequence; all do without lengths (B,)."""
    if lengths is None:
        return x.new_ones(x.shape[:2], dtype=torch.bool)
    return torch.arange(x.shape[1], device=x.device) < lengths[:, None]


def at_least_one_position(values: Tensor) -> Tensor:
    """`values` (B, T, ...), with one position of padding where T = 0, since layers refuse sequences without any."""
    if torch.compiler.is_exporting() or values.shape[1] > 0:
        return values
    return F.pad(values, (0, 0) * (values.ndim - 2) + (0, 1))


def refuse_tokens_of_series(name: str, first: nn.Module) -> None:
    """Raise ValueError for a network of series where the next token is asked for."""
    if not isinstance(first, nn.Embedding):
        raise ValueError(f"{name} of a series puts out no tokens. Use data of token ids.")
