"""Encoder and decoder of LSTM or GRU layers, with or without attention.

Symbols: C channels of a series, D size of the vector of a token, H units of a layer in each direction, V tokens of the
target's vocabulary.
"""

from __future__ import annotations

from torch import nn

from dlexp.models.recurrent.layers import FusedRecurrence, RecurrentLayer
from dlexp.models.recurrent.weights import initialize_recurrence
from dlexp.models.seq2seq.attention import ATTENTIONS, SourceAttention
from dlexp.models.seq2seq.network import Seq2SeqNetwork, SequenceDecoder, SequenceEncoder
from dlexp.models.sequences.inputs import TokenVectors, position_vectors
from dlexp.models.sequences.pooling import SequencePooling

__all__ = ["seq2seq_gru", "seq2seq_lstm"]

_STATES = {"lstm": 2, "gru": 1}


def seq2seq_lstm(
    *,
    num_outputs: int,
    begin: int | None,
    vocabulary_size: int | None = None,
    in_channels: int | None = None,
    token: int = 64,
    units: int = 128,
    layers: int = 1,
    bidirectional: bool = True,
    attention: str = "additive",
    dropout: float = 0.1,
    recurrent_init: str = "default",
    forget_bias: float | None = 1.0,
) -> Seq2SeqNetwork:
    """LSTM encoder and decoder (Sutskever et al. 2014, arXiv:1409.3215) with attention (Bahdanau et al. 2015).

    Args:
        num_outputs: V.
        begin: Id of the token that a target begins with.
        vocabulary_size: Number of tokens of sources; None for series.
        in_channels: C of series.
        token: Size D of the learned vector of a token, in sources and targets.
        units: H, in the encoder and in the decoder.
        layers: Number of layers of each.
        bidirectional: Whether the encoder also reads sources backward.
        attention: none, additive or dot, see dlexp.models.seq2seq.attention.
        dropout: Probability in [0, 1) of zeroing inputs of the layers and of the output layer in training.
        recurrent_init: As in dlexp.models.recurrent.weights.
        forget_bias: Bias of the forget gates at the start, None for that of recurrent_init.

    Raises ValueError for unknown names, and for data without sequences or without a token that begins a target.
    """
    return _network("lstm", **locals())


def seq2seq_gru(
    *,
    num_outputs: int,
    begin: int | None,
    vocabulary_size: int | None = None,
    in_channels: int | None = None,
    token: int = 64,
    units: int = 128,
    layers: int = 1,
    bidirectional: bool = True,
    attention: str = "additive",
    dropout: float = 0.1,
    recurrent_init: str = "default",
) -> Seq2SeqNetwork:
    """GRU encoder and decoder (Cho et al. 2014, arXiv:1406.1078): as `seq2seq_lstm`, with its arguments and errors."""
    return _network("gru", **locals())


def _network(
    kind: str,
    *,
    num_outputs: int,
    begin: int | None,
    vocabulary_size: int | None,
    in_channels: int | None,
    token: int,
    units: int,
    layers: int,
    bidirectional: bool,
    attention: str,
    dropout: float,
    recurrent_init: str,
    forget_bias: float | None = None,
) -> Seq2SeqNetwork:
    if attention not in ATTENTIONS:
        raise ValueError(f"unknown attention={attention!r}; available: {', '.join(ATTENTIONS)}")
    if begin is None:
        raise ValueError(
            f"seq2seq_{kind} requires targets that begin with a token of their own, as those of data=pairs"
        )
    vectors = position_vectors(f"seq2seq_{kind}", vocabulary_size, in_channels, token)
    memory = units * (2 if bidirectional else 1)
    made = [
        RecurrentLayer(lambda size=size: FusedRecurrence(kind, size, units), bidirectional)  # type: ignore[misc]
        for size in [vectors.embedding_dim, *[memory] * (layers - 1)]
    ]
    own = [FusedRecurrence(kind, size, units) for size in [token, *[units] * (layers - 1)]]
    directions = [direction for layer in made for direction in (layer.ahead, layer.back) if direction is not None]
    for direction in (*directions, *own):
        initialize_recurrence(direction, recurrent_init, forget_bias)
    encoder = SequenceEncoder(vectors, made, SequencePooling("final", memory, bidirectional), dropout)
    attends = None if attention == "none" else SourceAttention(attention, units, memory, units)
    decoder = SequenceDecoder(TokenVectors(num_outputs, token), own, attends, (units, memory, num_outputs), dropout)
    bridge = [nn.Linear(memory, _STATES[kind] * units) for _ in range(layers)]
    return Seq2SeqNetwork(encoder, bridge, decoder, begin, _STATES[kind])
