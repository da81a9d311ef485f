"""Attention of a decoder to the positions of the source, with the weights at hand.

Symbols: B samples, T positions of the longest source, U positions of the longest target, H units of the decoder, M size
of the memory of a source position, A size of the space in which they are compared.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

ATTENTIONS = ("none", "additive", "dot")


class SourceAttention(nn.Module):
    """Weights of the source positions for each query, and the mean of the memory by them.

    Args:
        kind: additive: v tanh(W q + V m) (Bahdanau et al. 2015, arXiv:1409.0473); dot: (W q) (V m) / sqrt(A), the
            product of Luong et al. (2015, arXiv:1508.04025) with the scale of Vaswani et al. (2017).
        units: H.
        memory: M.
        size: A.
    """

    def __init__(self, kind: str, units: int, memory: int, size: int) -> None:
        super().__init__()
        self.kind, self.scale = kind, size**-0.5
        self.query = nn.Linear(units, size, bias=False)
        self.key = nn.Linear(memory, size)
        self.score = nn.Linear(size, 1, bias=False) if kind == "additive" else None

    def keys(self, memory: Tensor) -> Tensor:
        """(B, T, M) -> (B, T, A): the part that does not depend on the query, computed once for a source."""
        found: Tensor = self.key(memory)
        return found

    def weights(self, queries: Tensor, keys: Tensor, kept: Tensor) -> Tensor:
        """(B, U, H), (B, T, A), (B, T) bool -> (B, U, T): 0 for padding, with sum 1; all 0 for an empty source."""
        asked = self.query(queries)
        if self.score is not None:
            scores = self.score((asked.unsqueeze(2) + keys.unsqueeze(1)).tanh()).squeeze(-1).float()
        else:
            scores = (asked @ keys.mT).float() * self.scale
        mask = kept.unsqueeze(1)
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        weights: Tensor = scores.softmax(-1) * mask
        return weights

    def forward(self, queries: Tensor, keys: Tensor, memory: Tensor, kept: Tensor) -> Tensor:
        """(B, U, H), (B, T, A), (B, T, M), (B, T) bool -> (B, U, M)."""
        return self.weights(queries, keys, kept).to(memory.dtype) @ memory
