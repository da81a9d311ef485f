"""Embedding, recurrence, attention, pooling in NumPy: torch, numerical derivatives, padding."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scratch_checks import assert_float32, assert_like_torch, assert_numerical, random, with_random_parameters
from torch import Tensor, nn

from dlexp.scratch.activations import Swish
from dlexp.scratch.layer import Array, Layer
from dlexp.scratch.sequences.attention import MultiHeadAttention, scaled_dot_product_attention
from dlexp.scratch.sequences.embedding import Embedding
from dlexp.scratch.sequences.pooling import POOLINGS, SequencePooling
from dlexp.scratch.sequences.positions import sinusoids
from dlexp.scratch.sequences.recurrent import Lstm, Recurrent, Rnn, TwoDirections
from dlexp.scratch.sequences.transformer import FeedForward, transformer_block

few = settings(max_examples=20, deadline=None, derandomize=True)
sizes = st.integers(1, 5)
LENGTHS = np.array([7, 2, 5, 1, 0])
OWN = np.arange(7) < LENGTHS[:, None]
KINDS = {"rnn": (Rnn, nn.RNN), "lstm": (Lstm, nn.LSTM)}
Parameters = Mapping[str, Tensor]


def steps(size: int = 3) -> Array:
    return random((5, 7, size))


def recurrence_of_torch(kind: str, inputs: int, units: int, is_bidirectional: bool = False) -> nn.RNNBase:
    made: nn.RNNBase = KINDS[kind][1](inputs, units, batch_first=True, bidirectional=is_bidirectional).double()
    return made


def packed(module: nn.RNNBase, x: Tensor, own: Parameters, lengths: Tensor) -> Tensor:
    """torch's layer over sequences of these lengths; it refuses one of length 0."""
    whole = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, _ = torch.func.functional_call(module, dict(own), (whole,))
    return nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=x.shape[1])[0]


@few
@given(st.sampled_from(["rnn", "lstm"]), sizes, sizes, sizes, sizes)
def test_a_recurrent_layer_is_that_of_torch(kind: str, samples: int, length: int, inputs: int, units: int) -> None:
    layer = with_random_parameters(KINDS[kind][0](inputs, units))
    module = recurrence_of_torch(kind, inputs, units)
    whole = lambda x, own: torch.func.functional_call(module, own, (x,))[0]  # noqa: E731
    assert_like_torch(layer, whole, random((samples, length, inputs)))


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_those_of_packed_sequences(kind: str) -> None:
    layer = with_random_parameters(KINDS[kind][0](3, 4))
    module = recurrence_of_torch(kind, 3, 4)
    assert_like_torch(layer, lambda x, own, n: packed(module, x, own, n), steps()[:4], LENGTHS[:4])


@pytest.mark.parametrize("kind", KINDS)
def test_two_directions_are_those_of_torch(kind: str) -> None:
    ahead, back = (KINDS[kind][0](3, 4) for _ in range(2))
    layer = with_random_parameters(TwoDirections(ahead, back))
    module = recurrence_of_torch(kind, 3, 4, is_bidirectional=True)

    def both(x: Tensor, own: Parameters, lengths: Tensor) -> Tensor:
        named = {name.removeprefix("ahead.layer."): value for name, value in own.items() if "ahead" in name}
        named |= {f"{n.removeprefix('back.layer.')}_reverse": value for n, value in own.items() if "back" in n}
        return packed(module, x, named, lengths)

    assert_like_torch(layer, both, steps()[:4], LENGTHS[:4])
    assert_numerical(layer, steps(), LENGTHS)


@pytest.mark.parametrize("layer", [Rnn(3, 4), Lstm(3, 4)], ids=["rnn", "lstm"])
def test_gradients_of_recurrence_are_the_numerical_ones(layer: Recurrent) -> None:
    with_random_parameters(layer)
    assert_numerical(layer, steps(), LENGTHS, entries=30)
    assert not layer.forward(steps(), LENGTHS)[~OWN].any()
    dx = layer.backward(random((5, 7, 4)))
    assert not dx[~OWN].any() and dx[OWN].all()
    assert_float32(layer, steps(), LENGTHS)


def test_an_lstm_is_its_gates_on_the_joined_input() -> None:
    """As it is often written: four layers on the input and the state side by side."""
    layer, x = with_random_parameters(Lstm(3, 2)), random((4, 5, 3))
    of_input, of_state, *biases = layer.parameters.values()
    joined = np.concatenate([of_input, of_state], 1)
    h = c = np.zeros((4, 2))
    for t in range(5):
        parts = np.concatenate([x[:, t], h], 1) @ joined.T + sum(biases)
        i, f, o = (1 / (1 + np.exp(-parts[:, 2 * n : 2 * n + 2])) for n in (0, 1, 3))
        c = f * c + i * np.tanh(parts[:, 4:6])
        h = o * np.tanh(c)
        np.testing.assert_allclose(layer.forward(x)[:, t], h, rtol=1e-12)


@few
@given(sizes, sizes, sizes, st.integers(1, 4))
def test_vectors_of_tokens_are_those_of_torch(samples: int, length: int, tokens: int, size: int) -> None:
    ids = np.random.default_rng(0).integers(0, tokens, (samples, length))
    layer = with_random_parameters(Embedding(tokens, size))
    assert_like_torch(layer, lambda x, own: F.embedding(x, own["weight"]), ids)
    assert layer.backward(random((samples, length, size))).tolist() == np.zeros((samples, length)).tolist()
    assert_float32(layer, ids)


@few
@given(sizes, sizes, sizes, st.integers(1, 3), st.sampled_from(["none", "keys", "causal"]))
def test_attention_is_that_of_torch(samples: int, length: int, size: int, heads: int, masked: str) -> None:
    keep = {
        "none": [],
        "keys": [np.random.default_rng(0).random((samples, 1, 1, length)) < 0.6],
        "causal": [np.tril(np.ones((length, length), bool))],
    }[masked]
    layer = with_random_parameters(MultiHeadAttention(size * heads, heads))

    def function(x: Tensor, own: Parameters, *mask: Tensor) -> Tensor:
        parts = F.linear(x, own["queries_keys_values.weight"], own["queries_keys_values.bias"])
        by_head = [part.unflatten(-1, (heads, size)).transpose(1, 2) for part in parts.chunk(3, -1)]
        found = F.scaled_dot_product_attention(*by_head, *mask).transpose(1, 2).flatten(2)
        return F.linear(found, own["out.weight"], own["out.bias"])

    x = random((samples, length, size * heads))
    assert_like_torch(layer, function, x, *keep)
    assert layer.multiply_adds == 2 * samples * heads * length * length * size
    assert_float32(layer, x, *keep)


def test_gradients_of_attention_are_the_numerical_ones() -> None:
    layer = with_random_parameters(MultiHeadAttention(6, 2))
    assert_numerical(layer, steps(6), OWN[:, None, None], entries=30)


def test_weights_of_attention_add_up_to_1_over_the_kept_keys() -> None:
    queries, keys, values = (random((5, 2, 7, 3), seed) for seed in range(3))
    y, weights = scaled_dot_product_attention(1e4 * queries, keys, values, OWN[:, None, None])
    assert np.isfinite(y).all()
    expected = np.broadcast_to(OWN[:, None, None].any(-1, keepdims=True), (5, 2, 7, 1))
    np.testing.assert_allclose(weights.sum(-1, keepdims=True), expected, rtol=1e-12)
    assert not weights[np.broadcast_to(~OWN[:, None, None], weights.shape)].any()
    assert not y[4].any()  # no key at all


@pytest.mark.parametrize("is_first", [True, False])
def test_a_block_is_that_of_torch(is_first: bool) -> None:
    layer = with_random_parameters(transformer_block(6, 2, 10, is_norm_first=is_first))
    module = nn.TransformerEncoderLayer(6, 2, 10, 0.0, batch_first=True, norm_first=is_first).double()
    names = {
        "self_attn.in_proj_": "attention.queries_keys_values.", "self_attn.out_proj.": "attention.out.",
        "norm1.": "attention_norm.", "linear1.": "ffn.expand.", "linear2.": "ffn.contract.", "norm2.": "ffn_norm.",
    }  # fmt: skip

    def function(x: Tensor, own: Parameters, keep: Tensor) -> Tensor:
        given = {f"{there}{kind}": own[f"{here}{kind}"] for there, here in names.items() for kind in ("weight", "bias")}
        found: Tensor = torch.func.functional_call(
            module, given, (x,), {"src_key_padding_mask": ~keep.reshape(keep.shape[0], -1)}
        )
        return found

    assert_like_torch(layer, function, steps(6)[:4], OWN[:4, None, None])
    assert_numerical(layer, steps(6), OWN[:, None, None])
    assert_float32(layer, steps(6), OWN[:, None, None])


def test_a_feed_forward_layer_is_that_of_torch() -> None:
    layer = with_random_parameters(FeedForward(3, 5, Swish()))
    names = [f"{place}.{kind}" for place in ("expand", "contract") for kind in ("weight", "bias")]

    def function(x: Tensor, own: Parameters) -> Tensor:
        first, second = [own[n] for n in names[:2]], [own[n] for n in names[2:]]
        return F.linear(F.silu(F.linear(x, *first)), *second)

    assert_like_torch(layer, function, steps())


def pooled(kind: str, x: Tensor, lengths: Tensor, has_two: bool) -> Tensor:
    """A sequence after the other."""
    rows = []
    for row, n in zip(x, lengths.tolist(), strict=True):
        own, half = row[:n], row.shape[1] // 2
        if not n:
            rows.append(row[:1].sum(0) * 0)
        elif kind in ("last", "final"):
            is_split = kind == "final" and has_two
            rows.append(torch.cat([own[-1, :half], own[0 if is_split else -1, half:]]))
        else:
            rows.append(own.mean(0) if kind == "mean" else own.amax(0))
    return torch.stack(rows)


@pytest.mark.parametrize("has_two", [False, True])
@pytest.mark.parametrize("kind", POOLINGS)
def test_pooling_is_that_of_torch(kind: str, has_two: bool) -> None:
    layer = SequencePooling(kind, has_two)
    assert_like_torch(layer, lambda x, own, n: pooled(kind, x, n, has_two), steps(4), LENGTHS)
    assert_like_torch(layer, lambda x, own: pooled(kind, x, torch.full((5,), 7), has_two), steps(4))
    assert_numerical(layer, steps(4), LENGTHS)
    assert_float32(layer, steps(4), LENGTHS)
    assert layer.forward(np.zeros((2, 0, 4)), np.zeros(2, int)).tolist() == [[0] * 4] * 2
    assert layer.backward(np.ones((2, 4))).shape == (2, 0, 4)


def test_positions_are_sines_and_cosines() -> None:
    found = sinusoids(50, 7)
    assert found.shape == (50, 7)
    np.testing.assert_allclose(found[13, 4], np.sin(13 / 10_000 ** (4 / 7)))
    np.testing.assert_allclose(found[13, 5], np.cos(13 / 10_000 ** (4 / 7)))


@pytest.mark.parametrize("layer", [Rnn(3, 4), Lstm(3, 4), TwoDirections(Rnn(3, 4), Rnn(3, 4))])
def test_a_batch_without_positions_has_no_outputs(layer: Layer) -> None:
    y = layer.forward(np.zeros((2, 0, 3), np.float32), np.zeros(2, int))
    assert y.shape[:2] == (2, 0)
    assert layer.backward(y).shape == (2, 0, 3)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        MultiHeadAttention(6, 4)
    with pytest.raises(ValueError, match="last, mean, max, final"):
        SequencePooling("middle")


def test_weights_are_drawn_as_by_torch() -> None:
    rng = np.random.default_rng(0)
    recurrent = Lstm(50, 25, rng=rng).parameters
    for array in recurrent.values():
        assert array.dtype == np.float32 and np.abs(array).max() <= 0.2
        assert array.std() == pytest.approx(0.2 / 3**0.5, rel=0.1)
    assert Embedding(100, 100, rng=rng).parameters["weight"].std() == pytest.approx(1, rel=0.05)
