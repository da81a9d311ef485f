"""The interface of networks that put out one token after another, each at the same cost.

Symbols: B sequences, T positions of the longest prompt, K rows that are chosen, V tokens of the vocabulary.
"""

from __future__ import annotations

from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor


class DecodingState(Protocol):
    """What a network keeps of B sequences between two tokens: a recurrent state, or keys and values."""

    def select(self, positions: Tensor) -> Self:
        """The state of the sequences at `positions` (K,) int64, in that order; one may come several times."""


@runtime_checkable
class StepwiseNetwork(Protocol):
    """A network that continues sequences."""

    def start(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, DecodingState]:
        """Scores (B, V) of the first token, and the state from which it is chosen.

        Args:
            values: (B, T) token ids, or (B, T, C) steps: the text to continue, or the source to translate.
            lengths: (B,) int64, in [0, T]. Padding changes nothing.
        """

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, DecodingState]:
        """Scores (B, V) of the token after `tokens` (B,) int64, and the next state."""
