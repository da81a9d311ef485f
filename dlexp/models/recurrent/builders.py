"""RNN, LSTM and GRU: torch's layers, and cells written from their gates.

Symbols: B samples, T positions of the longest sequence of the batch, C channels of a series, D size of the vector of a
token, H units of a layer in each direction, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from dlexp.models.recurrent.gates import CELLS
from dlexp.models.recurrent.layers import CellRecurrence, FusedRecurrence, Recurrence, RecurrentLayer
from dlexp.models.recurrent.network import RecurrentNetwork
from dlexp.models.recurrent.weights import initialize_recurrence
from dlexp.models.sequences.inputs import position_vectors
from dlexp.models.sequences.pooling import SequencePooling

__all__ = ["gru", "lstm", "recurrent_cells", "rnn"]


def rnn(
    *,
    num_outputs: int,
    vocabulary_size: int | None = None,
    in_channels: int | None = None,
    per_position: bool = False,
    token: int = 64,
    units: int = 64,
    layers: int = 1,
    bidirectional: bool = False,
    pooling: str = "final",
    dropout: float = 0.0,
    output_dropout: float = 0.0,
    recurrent_init: str = "default",
) -> RecurrentNetwork:
    """Recurrent network of tanh units (`nn.RNN`): (B, T) or (B, T, C) -> (B, O), or (B, T, O) for each position.

    Args:
        num_outputs: O.
        vocabulary_size: Number of tokens; None for a series.
        in_channels: C of a series.
        per_position: Whether there are outputs at each position, without pooling.
        token: Size D of the learned vector of a token.
        units: H.
        layers: Number of layers.
        bidirectional: Whether each layer also reads backward; then it has 2 H outputs.
        pooling: As in dlexp.models.sequences.pooling.
        dropout: Probability in [0, 1) of zeroing in training between layers; without effect with one layer.
        output_dropout: The same in front of the output layer.
        recurrent_init: As in dlexp.models.recurrent.weights.

    Raises ValueError for unknown names, and data that are no sequences.
    """
    return _network(FusedRecurrence, "rnn", **locals())


def lstm(
    *,
    num_outputs: int,
    vocabulary_size: int | None = None,
    in_channels: int | None = None,
    per_position: bool = False,
    token: int = 64,
    units: int = 64,
    layers: int = 2,
    bidirectional: bool = False,
    pooling: str = "final",
    dropout: float = 0.2,
    output_dropout: float = 0.0,
    recurrent_init: str = "default",
    forget_bias: float | None = 1.0,
) -> RecurrentNetwork:
    """Long short-term memory (`nn.LSTM`; Hochreiter & Schmidhuber 1997): as `rnn`.

    Args:
        forget_bias: Bias of the forget gates at the start, None for that of recurrent_init.

    The other arguments and errors are those of `rnn`.
    """
    return _network(FusedRecurrence, "lstm", **locals())


def gru(
    *,
    num_outputs: int,
    vocabulary_size: int | None = None,
    in_channels: int | None = None,
    per_position: bool = False,
    token: int = 64,
    units: int = 64,
    layers: int = 2,
    bidirectional: bool = False,
    pooling: str = "final",
    dropout: float = 0.2,
    output_dropout: float = 0.0,
    recurrent_init: str = "default",
) -> RecurrentNetwork:
    """Gated recurrent unit (`nn.GRU`; Cho et al. 2014, arXiv:1406.1078): as `rnn`, with its arguments and errors."""
    return _network(FusedRecurrence, "gru", **locals())


def recurrent_cells(
    *,
    num_outputs: int,
    vocabulary_size: int | None = None,
    in_channels: int | None = None,
    per_position: bool = False,
    cell: str = "lstm",
    token: int = 64,
    units: int = 64,
    layers: int = 1,
    bidirectional: bool = False,
    pooling: str = "final",
    dropout: float = 0.0,
    output_dropout: float = 0.0,
    recurrent_init: str = "default",
    forget_bias: float | None = None,
) -> RecurrentNetwork:
    """Network of cells that are written from their gates, one step after another; slower than torch's layers.

    Args:
        cell: rnn, lstm, gru (torch's form) or gru_reset_before, as in dlexp.models.recurrent.gates.
        forget_bias: Bias of the forget gates of cell=lstm at the start, None for that of recurrent_init.

    The other arguments and errors are those of `rnn`. Raises ValueError for a forget_bias of another cell.
    """
    if cell not in CELLS:
        raise ValueError(f"unknown cell={cell!r}; available: {', '.join(CELLS)}")
    if forget_bias is not None and cell != "lstm":
        raise ValueError(f"forget_bias requires cell='lstm', got {cell!r}. Use forget_bias=null")
    arguments = {name: value for name, value in locals().items() if name != "cell"}
    return _network(lambda kind, inputs, units: CellRecurrence(CELLS[kind](inputs, units)), cell, **arguments)


def _network(
    recurrence: Callable[[str, int, int], Recurrence],
    kind: str,
    *,
    num_outputs: int,
    vocabulary_size: int | None,
    in_channels: int | None,
    per_position: bool,
    token: int,
    units: int,
    layers: int,
    bidirectional: bool,
    pooling: str,
    recurrent_init: str,
    forget_bias: float | None = None,
    **dropouts: Any,
) -> RecurrentNetwork:
    vectors = position_vectors(kind, vocabulary_size, in_channels, token)
    width = units * (2 if bidirectional else 1)
    inputs = [vectors.embedding_dim, *[width] * (layers - 1)]
    stack = [RecurrentLayer(lambda size=size: recurrence(kind, size, units), bidirectional) for size in inputs]  # type: ignore[misc]
    for layer in stack:
        for direction in (layer.ahead, *([] if layer.back is None else [layer.back])):
            initialize_recurrence(direction, recurrent_init, forget_bias)
    pooled = None if per_position else SequencePooling(pooling, width, bidirectional)
    return RecurrentNetwork(vectors, stack, pooled, nn.Linear(width, num_outputs), **dropouts)
