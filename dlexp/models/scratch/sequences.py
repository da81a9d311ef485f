"""Networks of sequences in NumPy: recurrent ones, and the encoder of a transformer.

Each is one function of autograd, from the tokens to the outputs: backpropagation through time is that of
`dlexp.scratch`. torch's network of the same words draws the weights, and stays behind for what only looks at them.

Symbols: B samples, T positions of the longest sequence of the batch, C channels of a series, D size of the vector of a
position, H units of a layer in each direction, O outputs.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from torch import nn

from dlexp.models.recurrent.builders import lstm, rnn
from dlexp.models.recurrent.layers import FusedRecurrence, Recurrence, RecurrentLayer
from dlexp.models.recurrent.network import RecurrentNetwork
from dlexp.models.scratch.bridge import NumpyModule, bridged
from dlexp.models.scratch.translation import refuse_unwritten
from dlexp.models.transformer.encoder import transformer_encoder
from dlexp.scratch.activations import Relu, Swish
from dlexp.scratch.dense import Dense
from dlexp.scratch.normalization import LayerNorm
from dlexp.scratch.sequences import networks
from dlexp.scratch.sequences.embedding import Embedding
from dlexp.scratch.sequences.pooling import SequencePooling
from dlexp.scratch.sequences.recurrent import Lstm, Recurrent, Rnn, TwoDirections
from dlexp.scratch.sequences.transformer import transformer_block

__all__ = ["numpy_lstm", "numpy_rnn", "numpy_transformer"]

_RECURRENT_POOLINGS = ("last", "mean", "max", "final")
_FFN = {"relu": Relu, "silu": Swish}


def numpy_rnn(
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
) -> NumpyModule:
    """Recurrent network of tanh units in NumPy: (B, T) or (B, T, C) -> (B, O), or (B, T, O) for each position.

    The layers of `rnn`, which also draws the weights: the same words and seed begin with the same network. Arguments
    and errors are those of `rnn`; pooling is last, mean, max or final.
    """
    refuse_unwritten(("pooling", pooling, _RECURRENT_POOLINGS))
    return _recurrent(rnn(**locals()))


def numpy_lstm(
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
    forget_bias: float | None = 1.0,
) -> NumpyModule:
    """Long short-term memory in NumPy (Hochreiter & Schmidhuber 1997), as `numpy_rnn`.

    The layers of `lstm`, which also draws the weights. Arguments and errors are those of `lstm`; pooling is last, mean,
    max or final.
    """
    refuse_unwritten(("pooling", pooling, _RECURRENT_POOLINGS))
    return _recurrent(lstm(**locals()))


def numpy_transformer(
    *,
    num_outputs: int,
    max_length: int,
    vocabulary_size: int | None = None,
    in_channels: int | None = None,
    per_position: bool = False,
    token: int = 32,
    blocks: int = 2,
    heads: int = 4,
    ffn_factor: float = 4.0,
    ffn: str = "relu",
    norm_place: str = "before",
    positions: str = "sinusoidal",
    pooling: str = "mean",
    dropout: float = 0.0,
) -> NumpyModule:
    """Encoder of a transformer in NumPy (Vaswani et al. 2017): (B, T) tokens or (B, T, C) -> (B, O), or (B, T, O).

    The layers of `transformer_encoder`, which also draws the weights: the same words and seed begin with the same
    network.

    Args:
        num_outputs: O.
        max_length: Positions of the longest sequence of the data.
        vocabulary_size: Number of tokens; None for a series.
        in_channels: C of a series.
        per_position: Whether there is an output at each position.
        token: D, a multiple of heads.
        blocks: Number of layers.
        heads: Heads of attention.
        ffn_factor: Units of a feed-forward layer over D.
        ffn: relu or silu.
        norm_place: before a sublayer, or after its sum with the residual.
        positions: sinusoidal or none.
        pooling: mean or max; without effect with an output at each position.
        dropout: Probability in [0, 1) that a component of a token, of what a layer adds or of a hidden unit is zeroed.

    Raises ValueError for unknown names, for what is not written in NumPy, and sizes that do not divide.
    """
    refuse_unwritten(
        ("ffn", ffn, _FFN),
        ("positions", positions, ("sinusoidal", "none")),
        ("pooling", pooling, ("mean", "max")),
    )
    twin = transformer_encoder(**locals())
    vectors = Dense(in_channels, token) if vocabulary_size is None and in_channels else None
    is_first, hidden = norm_place == "before", max(1, int(token * ffn_factor))
    block = partial(transformer_block, token, heads, hidden, is_norm_first=is_first, p=dropout)
    layer = networks.TransformerEncoder(
        vectors or Embedding(vocabulary_size or 0, token),
        token,
        [block(activation=_FFN[ffn]()) for _ in range(blocks)],
        LayerNorm(token) if is_first else None,
        None if per_position else SequencePooling(pooling),
        Dense(token, num_outputs),
        has_positions=positions == "sinusoidal",
        dropout=dropout,
    )
    return bridged(layer, twin)


def _recurrent(twin: RecurrentNetwork) -> NumpyModule:
    """The network in NumPy of the sizes and with the weights of `twin`, which is used up."""
    vectors = twin.vectors
    pooling = twin.pooling
    layer = networks.RecurrentNetwork(
        Embedding(vectors.num_embeddings, vectors.embedding_dim) if isinstance(vectors, nn.Embedding) else None,
        [_recurrent_layer(cast(RecurrentLayer, own)) for own in twin.layers],
        None if pooling is None else SequencePooling(pooling.kind, pooling.bidirectional),
        Dense(twin.output.in_features, twin.output.out_features),
        dropout=twin.between.p,
        output_dropout=twin.output_dropout.p,
    )
    return bridged(layer, twin)


def _recurrent_layer(twin: RecurrentLayer) -> Recurrent | TwoDirections:
    ahead = _direction(twin.ahead)
    return ahead if twin.back is None else TwoDirections(ahead, _direction(twin.back))


def _direction(twin: Recurrence) -> Recurrent:
    kind = cast(FusedRecurrence, twin).layer
    return (Lstm if isinstance(kind, nn.LSTM) else Rnn)(kind.input_size, kind.hidden_size)
