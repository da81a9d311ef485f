"""Own attention against torch's, its two paths against each other, and queries without any key."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from dlexp.models.transformer.attention import (
    CrossAttention,
    Pattern,
    SelfAttention,
    attended,
    attention_weights,
    pattern,
)
from dlexp.models.transformer.positions import alibi, alibi_slopes, rotated, rotation_of, sinusoids

KEEP = torch.tensor([[True] * 5, [True, False, True, True, False], [False] * 5])


def copied(own: SelfAttention | CrossAttention, peer: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        if isinstance(own, SelfAttention):
            own.queries_keys_values.weight.copy_(peer.in_proj_weight)
            own.queries_keys_values.bias.copy_(peer.in_proj_bias)
        else:
            own.queries.weight.copy_(peer.in_proj_weight[:16])
            own.queries.bias.copy_(peer.in_proj_bias[:16])
            own.keys_values.weight.copy_(peer.in_proj_weight[16:])
            own.keys_values.bias.copy_(peer.in_proj_bias[16:])
        own.out.load_state_dict(peer.out_proj.state_dict())


def peer_and_inputs() -> tuple[nn.MultiheadAttention, Tensor, Tensor]:
    torch.manual_seed(0)
    peer = nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        peer.in_proj_bias.normal_()
    return peer, torch.randn(2, 5, 16), torch.randn(2, 5, 16)


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("kind", ["all", "padding", "causal"])
def test_self_attention_is_that_of_torch(kind: str, explicit: bool) -> None:
    peer, x, _ = peer_and_inputs()
    own = SelfAttention(16, 4)
    copied(own, peer)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    given, words = {
        "all": (Pattern(), {}),
        "padding": (pattern(KEEP[:2, None, None]), {"key_padding_mask": ~KEEP[:2]}),
        "causal": (Pattern(is_causal=True), {"attn_mask": ~causal}),
    }[kind]
    weights: list[Tensor] = []
    found = own(mine, given, weights if explicit else None)
    expected, of_peer = peer(theirs, theirs, theirs, average_attn_weights=False, **words)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    if explicit:
        torch.testing.assert_close(weights[0], of_peer, atol=1e-5, rtol=0)
    factor = torch.randn_like(found)
    (found * factor).sum().backward()
    (expected * factor).sum().backward()
    assert mine.grad is not None and theirs.grad is not None
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=0)
    torch.testing.assert_close(own.queries_keys_values.weight.grad, peer.in_proj_weight.grad, atol=1e-5, rtol=0)


def test_attention_to_another_sequence_is_that_of_torch() -> None:
    peer, x, memory = peer_and_inputs()
    own = CrossAttention(16, 4)
    copied(own, peer)
    found = own(x[:, :3], memory, pattern(KEEP[:2, None, None]))
    expected, _ = peer(x[:, :3], memory, memory, key_padding_mask=~KEEP[:2])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def heads(count: int = 4, kv: int = 4, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(3, n, 5, 6, dtype=dtype).requires_grad_() for n in (count, kv, kv)]


@pytest.mark.parametrize(("kv", "bias"), [*product([4, 2, 1], [False, True])])
def test_both_paths_agree(kv: int, bias: bool) -> None:
    at = torch.arange(5)
    given = pattern(KEEP[:, None, None], alibi(at, at, 4) if bias else None)
    gradients = []
    outputs = []
    for explicit in (False, True):
        queries, keys, values = heads(kv=kv)
        if explicit:
            weights = attention_weights(queries, keys, given)
            found = weights @ values.repeat_interleave(4 // kv, 1)
            kept = KEEP[:, None, None].expand(3, 4, 5, 5)
            assert (weights.masked_fill(kept, 0) == 0).all()
            torch.testing.assert_close(weights.sum(-1), KEEP.any(-1)[:, None, None].expand(3, 4, 5).float())
        else:
            found = attended(queries, keys, values, given)
        found.square().sum().backward()
        outputs.append(found)
        gradients.append([part.grad for part in (queries, keys, values)])
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=0)
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("dropout", "bias", "dtype"), [*product([0.0, 0.5], [False, True], [torch.float32, torch.bfloat16])]
)
def test_a_query_without_keys_gets_zeros(dropout: float, bias: bool, dtype: torch.dtype) -> None:
    at = torch.arange(5)
    given = pattern(KEEP[:, None, None], alibi(at, at, 4) if bias else None)
    for explicit in (False, True):
        parts = heads(dtype=dtype)
        if explicit:
            found = attention_weights(parts[0], parts[1], given) @ parts[2]
        else:
            found = attended(parts[0], parts[1], parts[2], given, dropout)
        assert (found[2] == 0).all() and (found[:2] != 0).any()
        found.square().sum().backward()
        for part in parts:
            assert part.grad is not None and part.grad.isfinite().all() and (part.grad[2] == 0).all()


def test_scores_are_divided_by_the_root_of_the_size_of_a_head() -> None:
    queries, keys, _ = heads()
    expected = (queries @ keys.transpose(2, 3) / 6**0.5).softmax(-1)
    torch.testing.assert_close(attention_weights(queries, keys, Pattern()), expected)


def test_weights_are_told_before_dropout() -> None:
    own = SelfAttention(16, 4, dropout=0.5)
    weights: list[Tensor] = []
    torch.manual_seed(0)
    x = torch.randn(2, 5, 16)
    noisy = own(x, Pattern(), weights)
    torch.testing.assert_close(weights[0].sum(-1), torch.ones(2, 4, 5))
    assert not torch.equal(noisy, own.eval()(x, Pattern()))


def test_an_inverted_mask_is_seen() -> None:
    """The fault of the documents: with True for what is blocked a causal mask keeps the future."""
    queries, keys, values = heads()
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    right, wrong = (attention_weights(queries, keys, pattern(mask)) for mask in (causal, ~causal))
    assert (right.triu(1) == 0).all() and not (wrong.triu(1) == 0).all()
    torch.testing.assert_close(attended(queries, keys, values, Pattern(is_causal=True)), right @ values)


@pytest.mark.parametrize(("token", "count", "kv", "words"), [(10, 3, None, "1, 2, 5, 10"), (16, 4, 3, "1, 2, 4")])
def test_sizes_that_do_not_divide_are_named(token: int, count: int, kv: int | None, words: str) -> None:
    with pytest.raises(ValueError, match=f"must be a multiple of .* fit: {words}"):
        SelfAttention(token, count, kv)


def test_positions_are_those_of_their_papers() -> None:
    found = sinusoids(torch.arange(4), 6)
    for position, pair in product(range(4), range(3)):
        angle = torch.tensor(position / 10_000 ** (2 * pair / 6))
        torch.testing.assert_close(found[position, 2 * pair : 2 * pair + 2], torch.stack([angle.sin(), angle.cos()]))
    assert sinusoids(torch.arange(4), 5).shape == (4, 5)
    torch.testing.assert_close(sinusoids(torch.tensor([9000]), 5)[0, 1], torch.tensor(9000.0).cos(), atol=1e-3, rtol=0)
    assert alibi_slopes(8) == [2.0**-n for n in range(1, 9)]
    assert alibi_slopes(6) == [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]
    assert alibi(torch.tensor([3]), torch.arange(4), 8)[0, 0, 0].tolist() == [-1.5, -1.0, -0.5, 0.0]


def test_rotated_products_know_the_distance_alone() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)

    def product_at(first: int, second: int) -> Tensor:
        places = [rotation_of(torch.tensor([n]), 8) for n in (first, second)]
        return (rotated(query, places[0]) * rotated(key, places[1])).sum()

    torch.testing.assert_close(product_at(3, 1), product_at(9, 7), atol=1e-5, rtol=0)
    assert (product_at(3, 1) - product_at(3, 2)).abs() > 1e-3
