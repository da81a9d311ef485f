"""FT-Transformer: a transformer over the columns of a table (Gorishniy et al. 2021, arXiv:2106.11959).

Symbols: B batch, F features, T tokens (one for each column, and [CLS]), D width of a token, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.models.tabular import Blocks, row_features

__all__ = ["ft_transformer"]


class FeatureTokens(nn.Module):
    """Tokens of the columns: x * weight + bias for a number, embedding + bias for a category; then [CLS]."""

    def __init__(self, num_features: int, categorical: Blocks, width: int) -> None:
        super().__init__()
        column_of = list(range(num_features))
        for first, count in categorical:
            column_of[first : first + count] = [first] * count
        order = {first: number for number, first in enumerate(dict.fromkeys(column_of))}
        member = F.one_hot(torch.tensor([order[c] for c in column_of]), len(order)).float()
        self.register_buffer("member", member.T.contiguous(), persistent=False)
        bound = width**-0.5  # initialization of the authors
        self.weight = nn.Parameter(torch.empty(num_features, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(len(order), width).uniform_(-bound, bound))
        self.cls = nn.Parameter(torch.empty(width).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens, (B, F) -> (B, T, D); a category has the embedding of its feature that is 1."""
        products = x.unsqueeze(-1) * self.weight
        tokens = self.get_buffer("member").to(products.dtype) @ products + self.bias
        return torch.cat([tokens, self.cls.expand(x.shape[0], 1, -1)], 1)


class Block(nn.Module):
    """Attention over the columns and a gated feed-forward layer (ReGLU), each normalized in front and added.

    The first block has no normalization in front of its attention, which was better in the paper.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: tuple[float, float], is_first: bool) -> None:
        super().__init__()
        self.heads = heads
        self.attention_dropout = dropout[0]
        self.norm = nn.Identity() if is_first else nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.ffn_norm = nn.LayerNorm(width)
        self.ffn_in = nn.Linear(width, 2 * hidden)
        self.ffn_dropout = nn.Dropout(dropout[1])
        self.ffn_out = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        batch, tokens, width = x.shape
        split = self.queries_keys_values(self.norm(x)).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        p = self.attention_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(split[0], split[1], split[2], dropout_p=p)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))
        values, gates = self.ffn_in(self.ffn_norm(x)).chunk(2, -1)
        added: Tensor = x + self.ffn_out(self.ffn_dropout(values * gates.relu()))
        return added


class _LastToken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, D)."""
        return x[:, -1]


def ft_transformer(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    categorical: Sequence[tuple[int, int]] = (),
    token: int = 64,
    blocks: int = 3,
    heads: int = 8,
    ffn_factor: float = 4 / 3,
    attention_dropout: float = 0.2,
    dropout: float = 0.1,
) -> nn.Sequential:
    """FT-Transformer: (B, F) -> (B, O).

    Args:
        token: Size D of a token, a multiple of heads.
        blocks: Number of transformer blocks.
        ffn_factor: Units of the feed-forward layers, as a factor of D.
        attention_dropout: Probability in [0, 1) that an attention weight is zeroed in training.
        dropout: Probability in [0, 1) that a unit of a feed-forward layer is zeroed in training.
    """
    if token % heads:
        raise ValueError(f"token={token} must be a multiple of heads={heads}")
    features = row_features("ft_transformer", input_shape)
    hidden = max(1, int(token * ffn_factor))
    probabilities = (attention_dropout, dropout)
    stack = [Block(token, heads, hidden, probabilities, is_first=number == 0) for number in range(blocks)]
    head = [nn.LayerNorm(token), nn.ReLU(), nn.Linear(token, num_outputs)]
    return nn.Sequential(FeatureTokens(features, categorical, token), *stack, _LastToken(), *head)
