"""The limit of row (lstm): two layers of LSTM over padded tokens, cut to the longest of each batch.

Symbols: B samples of a batch, T positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from benchmarks.data.random_sequences import VOCABULARY, tokens
from benchmarks.harness.turns import Turns
from benchmarks.training.limits.loop import Work, keep_memory, train


class BareLstm(nn.Module):
    """(B, 1 + T): the length, then the tokens -> (B, 10), by the output of the last own position."""

    def __init__(self, layer_by_layer: bool) -> None:
        super().__init__()
        self.vectors = nn.Embedding(VOCABULARY, 64)
        layers = (1, 1) if layer_by_layer else (2,)
        self.layers = nn.ModuleList(nn.LSTM(64, 64, n, batch_first=True, dropout=0.2 * (n > 1)) for n in layers)
        self.between, self.output = nn.Dropout(0.2), nn.Linear(64, 10)

    def forward(self, packed: Tensor) -> Tensor:
        """-> (B, 10)."""
        lengths = packed[:, 0]
        x = self.vectors(packed[:, 1 : 1 + int(lengths.max())])
        for number, layer in enumerate(self.layers):
            x, _ = layer(self.between(x) if number else x)
        found: Tensor = self.output(x[torch.arange(len(x)), lengths - 1])
        return found


def sequences(turns: Turns, sizes: Sequence[int], layer_by_layer: bool = False, batch: int = 64) -> None:
    """Row (lstm): nn.LSTM(64, 64, 2) with dropout 0.2, as one module or one for each layer."""
    keep_memory()
    ids, lengths, classes = tokens(sum(sizes))
    inputs = torch.cat([lengths[:, None], ids], 1)
    x, y = inputs[: sizes[0]], classes[: sizes[0]]
    val = (inputs[sizes[0] : sizes[0] + sizes[1]], classes[sizes[0] : sizes[0] + sizes[1]])

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(y))
        return zip(x[order].split(batch), y[order].split(batch), strict=True)

    turns.know(dtype="fp32")
    train(turns, Work(BareLstm(layer_by_layer), batches, -(-len(y) // batch), val))
