"""Generation beyond the positions that a network was trained on.

Symbols: B sequences, T positions of the longest prompt, V tokens of the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dlexp.models.stepwise import DecodingState, StepwiseNetwork


@dataclass(frozen=True)
class SlidingState:
    """The state of a network, and the tokens that it was made of.

    inner    the state
    tokens   (B, T) int64, zero-padded
    lengths  (B,) int64
    """

    inner: DecodingState
    tokens: Tensor
    lengths: Tensor

    def select(self, positions: Tensor) -> SlidingState:
        """The state of some sequences; see `DecodingState`."""
        return SlidingState(self.inner.select(positions), self.tokens[positions], self.lengths[positions])


class SlidingContext:
    """A network that reads no more than the last `window` tokens of each sequence.

    A sequence that reaches the window is read again from its last half window, so that a token costs on average what
    two do, however long a text becomes. What is read of a sequence depends on its own length alone.

    Args:
        network: Continues sequences of up to `window` tokens.
        window: Tokens that it was trained on, at least 2.
    """

    def __init__(self, network: StepwiseNetwork, window: int) -> None:
        self._network, self._window = network, window

    def start(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, SlidingState]:
        """Scores (B, V) of the first token, and the state; see `StepwiseNetwork`."""
        if values.shape[1] > self._window:
            values, lengths = _last(values, lengths, self._window)
        scores, inner = self._network.start(values, lengths)
        return scores, SlidingState(inner, values, lengths)

    def step(self, tokens: Tensor, state: SlidingState) -> tuple[Tensor, SlidingState]:
        """Scores (B, V) of the token after `tokens` (B,), and the next state; see `StepwiseNetwork`."""
        place = state.lengths[:, None]
        wide = torch.nn.functional.pad(state.tokens, (0, 1))
        values, lengths = wide.scatter(1, place, tokens[:, None]), state.lengths + 1
        is_full = lengths > self._window
        if not bool(is_full.any()):
            scores, inner = self._network.step(tokens, state.inner)
            return scores, SlidingState(inner, values, lengths)
        kept = torch.where(is_full, max(1, self._window // 2), lengths)
        values, lengths = _last(values, lengths, kept)
        scores, inner = self._network.start(values, lengths)
        return scores, SlidingState(inner, values, lengths)


def _last(values: Tensor, lengths: Tensor, count: Tensor | int) -> tuple[Tensor, Tensor]:
    """The last `count` tokens of each sequence, or all of a shorter one, zero-padded."""
    kept = torch.minimum(lengths, torch.as_tensor(count, device=lengths.device))
    places = torch.arange(int(kept.max()) if len(kept) else 0, device=values.device)
    is_padding = places >= kept[:, None]
    at = ((lengths - kept)[:, None] + places).masked_fill(is_padding, 0)
    return values.gather(1, at).masked_fill(is_padding, 0), kept
