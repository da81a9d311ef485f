"""A linear-chain conditional random field: the probability of a whole sequence of tags.

Source: J. Lafferty, A. McCallum, F. Pereira, "Conditional random fields", ICML 2001.

Symbols: B sequences, T positions of the longest, C tags.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlexp.types import Sequences


class LinearChain(nn.Module):
    """Scores of pairs of neighboring tags, of first tags and of last ones, all of them learned.

    The score of a sequence is the sum of those of its tags, of its pairs of neighbors, of its first and of its last
    tag. All computations are in float32 at least. A sequence of no position has the score 0 and no tags.
    """

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))  # from a row's tag to a column's
        self.first = nn.Parameter(torch.zeros(num_tags))
        self.last = nn.Parameter(torch.zeros(num_tags))

    def forward(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """(B,) negative log likelihood of whole sequences, in nats.

        Args:
            scores: (B, T, C) of each tag at each position.
            tags: (B, T) int64; those of padding may be any.
            lengths: (B,) int64, in [0, T].
        """
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        return self.log_partition(scores, lengths) - self.score(scores, tags, lengths)

    def score(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """(B,) the score of the sequences `tags`; see `forward`."""
        mask = Sequences(scores, lengths).mask
        tags = tags.masked_fill(~mask, 0)
        own = (scores.gather(2, tags[:, :, None])[:, :, 0] * mask).sum(1)
        pairs = (self.transitions[tags[:, :-1], tags[:, 1:]] * mask[:, 1:]).sum(1)
        if not scores.shape[1]:
            return own
        ends = tags.gather(1, (lengths - 1).clamp(min=0)[:, None])[:, 0]
        return own + pairs + (self.first[tags[:, 0]] + self.last[ends]) * (lengths > 0)

    def log_partition(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """(B,) the logarithm of the sum of exp(score) over all sequences of tags; see `forward`."""
        if not scores.shape[1]:
            return scores.new_zeros(len(scores))
        found = self.first + scores[:, 0]
        for place in range(1, scores.shape[1]):
            longer = torch.logsumexp(found[:, :, None] + self.transitions, dim=1) + scores[:, place]
            found = torch.where((place < lengths)[:, None], longer, found)
        return torch.where(lengths > 0, torch.logsumexp(found + self.last, dim=1), 0.0)

    def best(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """(B, T) int64: the sequences of tags with the highest score, by Viterbi's algorithm; 0 in padding."""
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        count, width, _ = scores.shape
        chosen = lengths.new_zeros(count, width)
        if not width:
            return chosen
        found, before = self.first + scores[:, 0], []
        for place in range(1, width):
            longer, origin = (found[:, :, None] + self.transitions).max(dim=1)
            found = torch.where((place < lengths)[:, None], longer + scores[:, place], found)
            before.append(origin)
        rows = torch.arange(count, device=scores.device)
        tag = (found + self.last).argmax(1)
        for place in range(width - 1, -1, -1):
            chosen[:, place] = torch.where(place < lengths, tag, 0)
            if place:
                tag = torch.where(place < lengths, before[place - 1][rows, tag], tag)
        return chosen
