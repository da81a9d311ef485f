"""Pooling: one vector of the states of all positions of a sequence, whatever its padding.

Symbols: B samples, T positions of the longest sequence of the batch, H size of the state of a position.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlexp.models.sequences.inputs import kept_positions

POOLINGS = ("last", "mean", "max", "final", "attention")


class AdditiveWeights(nn.Module):
    """Additive attention over the positions (Bahdanau et al. 2015, arXiv:1409.0473): softmax of v tanh(W h + b)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, states: Tensor, kept: Tensor) -> Tensor:
        """(B, T, H), (B, T) bool -> (B, T) weights: 0 for padding, with sum 1; all 0 for a sequence of length 0."""
        scores: Tensor = self.score(self.hidden(states).tanh()).squeeze(-1).float()
        scores = scores.masked_fill(~kept, torch.finfo(scores.dtype).min)
        return scores.softmax(-1) * kept


class SequencePooling(nn.Module):
    """(B, T, H), lengths (B,) or None -> (B, H); zeros for a sequence of length 0.

    Args:
        kind: last (the state of the last own position), mean, max, attention (weighted by `AdditiveWeights`), or final
            (last of the forward direction, first of the backward one, which has read everything too).
        width: H.
        bidirectional: Whether the second half of H is of the backward direction.

    Raises ValueError for an unknown kind, and for last with two directions: the backward one has read one position.
    """

    def __init__(self, kind: str, width: int, bidirectional: bool = False) -> None:
        super().__init__()
        if kind not in POOLINGS:
            raise ValueError(f"unknown pooling={kind!r}; available: {', '.join(POOLINGS)}")
        if kind == "last" and bidirectional:
            rule = "pooling='last' does not go with bidirectional=true: at the last position the backward direction"
            raise ValueError(f"{rule} has read this position alone. Use pooling=final")
        self.kind, self.bidirectional = kind, bidirectional
        self.weights = AdditiveWeights(width) if kind == "attention" else None

    def forward(self, states: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, H) -> (B, H)."""
        kept = kept_positions(states, lengths)
        if self.weights is not None:
            weights = self.weights(states, kept).to(states.dtype)
            return torch.bmm(weights.unsqueeze(1), states).squeeze(1)
        if self.kind == "mean":
            total = states.masked_fill(~kept.unsqueeze(-1), 0).sum(1)
            return total / kept.sum(1, keepdim=True).clamp(min=1)
        if self.kind == "max":
            largest = states.masked_fill(~kept.unsqueeze(-1), torch.finfo(states.dtype).min).amax(1)
            return largest.masked_fill(~kept[:, :1], 0)
        pooled = last_state(states, lengths)
        if self.bidirectional:
            half = states.shape[-1] // 2
            pooled = torch.cat([pooled[:, :half], states[:, 0, half:]], -1)
        return pooled.masked_fill(~kept[:, :1], 0)

    def attention_maps(self, states: Tensor, lengths: Tensor | None = None) -> dict[str, Tensor]:
        """The weights of attention by name, (B, 1, 1, T); none for the other kinds."""
        if self.weights is None:
            return {}
        return {"pooling": self.weights(states, kept_positions(states, lengths))[:, None, None]}


def last_state(states: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T, H) -> (B, H): the state of the last own position; the first one for a sequence of length 0."""
    if lengths is None:
        return states[:, -1]
    last = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[-1])
    return states.gather(1, last).squeeze(1)
