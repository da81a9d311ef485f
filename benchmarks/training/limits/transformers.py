"""The limits of rows (encoder) and (gpt): transformers written as one function a network, without a module a layer.

Symbols: B samples of a batch, T positions, D size of a token, H heads, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.data.random_sequences import LONGEST, VOCABULARY, WINDOW, tokens, windows
from benchmarks.harness.turns import Turns
from benchmarks.training.limits.loop import Work, keep_memory, train


class Block(nn.Module):
    """Attention and a feed-forward layer, normalized in front: the weights alone, `layer` computes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.first = nn.LayerNorm(size)
        self.expand, self.contract = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)
        self.second = nn.LayerNorm(size)


def layer(block: Block, x: Tensor, mask: Tensor | None, heads: int, dropout: float) -> Tensor:
    """(B, T, D) -> (B, T, D); without a mask each position attends to those up to its own."""
    size = x.shape[2]
    normal = F.layer_norm(x, (size,), block.first.weight, block.first.bias)
    parts = F.linear(normal, block.qkv.weight, block.qkv.bias).view(*x.shape[:2], 3, heads, size // heads)
    q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
    found = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None).transpose(1, 2).flatten(2)
    found = F.linear(found, block.out.weight, block.out.bias)
    x = x + (F.dropout(found, dropout) if dropout else found)
    normal = F.layer_norm(x, (size,), block.second.weight, block.second.bias)
    hidden = F.gelu(F.linear(normal, block.expand.weight, block.expand.bias))
    found = F.linear(F.dropout(hidden, dropout) if dropout else hidden, block.contract.weight, block.contract.bias)
    return x + (F.dropout(found, dropout) if dropout else found)


class BareEncoder(nn.Module):
    """(B, 1 + T): the length, then the tokens -> (B, 10), by the mean of the own ones; `model=transformer_encoder`.

    A table of sines is made once; a batch is cut to its longest sequence.
    """

    def __init__(self, size: int = 64, blocks: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.scale = heads, sqrt(size)
        self.vectors = nn.Embedding(VOCABULARY, size)
        nn.init.normal_(self.vectors.weight, 0.0, 1 / self.scale)
        self.blocks = nn.ModuleList(Block(size) for _ in range(blocks))
        self.last, self.output = nn.LayerNorm(size), nn.Linear(size, 10)
        angles = torch.arange(LONGEST)[:, None] * torch.exp(
            torch.arange(0, size, 2) * (-torch.log(torch.tensor(1e4)) / size)
        )
        self.register_buffer("table", torch.stack([angles.sin(), angles.cos()], -1).flatten(1), persistent=False)
        self.register_buffer("places", torch.arange(LONGEST), persistent=False)

    def forward(self, packed: Tensor) -> Tensor:
        """-> (B, 10)."""
        lengths, dropout = packed[:, 0], 0.1 * self.training
        longest = int(lengths.max())
        keep = self.places[:longest] < lengths[:, None]
        x = self.vectors(packed[:, 1 : 1 + longest]) * self.scale + self.table[:longest]
        x = F.dropout(x, dropout) if dropout else x
        for block in self.blocks:
            x = layer(block, x, keep[:, None, None], self.heads, dropout)
        found: Tensor = self.output((self.last(x) * keep[:, :, None]).sum(1) / lengths[:, None])
        return found


class BareGpt(nn.Module):
    """(B, T) tokens -> (B, T, V) scores of the next one, tied to the embeddings; `model=gpt`."""

    def __init__(self, size: int = 128, blocks: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.positions, self.vectors = nn.Embedding(WINDOW, size), nn.Embedding(VOCABULARY, size)
        nn.init.normal_(self.vectors.weight, 0.0, 0.02)
        nn.init.normal_(self.positions.weight, 0.0, 0.02)
        self.blocks = nn.ModuleList(Block(size) for _ in range(blocks))
        self.last = nn.LayerNorm(size)

    def forward(self, text: Tensor) -> Tensor:
        """-> (B, T, V)."""
        x = self.vectors(text) + self.positions.weight[: text.shape[1]]
        for block in self.blocks:
            x = layer(block, x, None, self.heads, 0.0)
        return F.linear(self.last(x), self.vectors.weight)


def encoder(turns: Turns, sizes: Sequence[int], batch: int = 64) -> None:
    """Row (encoder): the sequences of row (lstm)."""
    ids, lengths, classes = tokens(sum(sizes))
    _train(turns, BareEncoder(), torch.cat([lengths[:, None], ids], 1), classes, sizes, batch)


def gpt(turns: Turns, sizes: Sequence[int], batch: int = 32) -> None:
    """Row (gpt): windows of a text of noise."""
    _train(turns, BareGpt(), *windows(sum(sizes)), sizes, batch)


def _train(turns: Turns, network: nn.Module, x: Tensor, y: Tensor, sizes: Sequence[int], batch: int) -> None:
    keep_memory()
    end = sizes[0] + sizes[1]
    val, x, y = (x[sizes[0] : end], y[sizes[0] : end]), x[: sizes[0]], y[: sizes[0]]

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(y))
        return zip(x[order].split(batch), y[order].split(batch), strict=True)

    turns.know(dtype="fp32")
    train(turns, Work(network, batches, -(-len(y) // batch), val))
