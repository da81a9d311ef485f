"""Multi-head attention: a fast path that keeps no weights, and an explicit one that returns them.

One convention everywhere: a mask is True where a key is kept. A query without any kept key gets zeros, and its
gradients are zeros, in both paths.

Symbols: B samples, H heads, G heads of keys and values, Q queries, K keys, E size of a head (D / H), D size of a token.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.models.transformer.cache import CacheLayer, KeysValues
from dlexp.models.transformer.positions import Rotation, rotated


@dataclass(frozen=True)
class Pattern:
    """Which keys a query attends to, and what positions add; made by `pattern`.

    allowed    bool, True keeps, or float that is added to the scores, -inf for a key that is not kept; it can be
               broadcast to (B, H, Q, K); None for all keys
    reached    bool, can be broadcast to (B, H, Q, 1): whether a query keeps any key; None where all do
    is_causal  whether query t keeps the keys up to t alone; then `allowed` is None and Q = K
    rotation   of queries and keys by their positions (rotary positions), None for none
    """

    allowed: Tensor | None = None
    reached: Tensor | None = None
    is_causal: bool = False
    rotation: Rotation | None = field(default=None, repr=False)


def pattern(keep: Tensor | None = None, bias: Tensor | None = None, rotation: Rotation | None = None) -> Pattern:
    """The pattern of a mask, and of numbers that are added to the scores.

    Args:
        keep: Bool, can be broadcast to (B, H, Q, K): True keeps. None keeps all.
        bias: Float, can be broadcast to (B, H, Q, K); ALiBi.
        rotation: Of queries and keys.
    """
    if keep is None:
        return Pattern(bias, None, False, rotation)
    reached = keep.any(-1, keepdim=True)
    if bias is None:
        return Pattern(keep, reached, False, rotation)
    return Pattern(bias.masked_fill(~keep, float("-inf")), reached, False, rotation)


def attended(queries: Tensor, keys: Tensor, values: Tensor, given: Pattern, dropout: float = 0.0) -> Tensor:
    """softmax(Q K' / sqrt(E)) V by torch's fused kernels (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        queries: (B, H, Q, E).
        keys: (B, G, K, E); G divides H, and H / G neighboring heads share one of them (grouped queries, Ainslie et al.
            2023, arXiv:2305.13245).
        values: (B, G, K, E).
        given: Which keys count.
        dropout: Probability in [0, 1) that a weight is zeroed.

    Returns (B, H, Q, E).
    """
    keys, values = _for_each_head(keys, queries), _for_each_head(values, queries)
    allowed = given.allowed
    if allowed is not None and allowed.dtype != torch.bool:
        allowed = allowed.to(queries.dtype)
    if given.reached is None or allowed is None or not torch.compiler.is_exporting():
        # The kernels of torch answer a query without keys with zeros.
        return F.scaled_dot_product_attention(queries, keys, values, allowed, dropout, given.is_causal)
    # Other runtimes divide 0 by 0 there, so such a query reads all keys, and what it reads is dropped.
    kept = allowed if allowed.dtype == torch.bool else allowed > float("-inf")
    free = kept | ~given.reached
    allowed = free if allowed.dtype == torch.bool else allowed.masked_fill(~given.reached, 0)
    found = F.scaled_dot_product_attention(queries, keys, values, allowed, dropout)
    return found.masked_fill(~given.reached, 0)


def attention_weights(queries: Tensor, keys: Tensor, given: Pattern) -> Tensor:
    """(B, H, Q, K) weights of `attended`: rows sum to 1 over the kept keys, or are 0 where none is kept."""
    scores = queries @ _for_each_head(keys, queries).transpose(-2, -1) * queries.shape[-1] ** -0.5
    allowed = given.allowed
    if given.is_causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if allowed is not None:
        if allowed.dtype == torch.bool:
            scores = scores.masked_fill(~allowed, float("-inf"))
        else:
            scores = scores + allowed.to(scores.dtype)
    if given.reached is not None:
        # Without a kept key all scores are -inf, whose softmax and its gradient are NaN: they are replaced before it.
        scores = scores.masked_fill(~given.reached, 0)
    weights: Tensor = scores.softmax(-1)
    return weights if given.reached is None else weights.masked_fill(~given.reached, 0)


def _mixed(
    queries: Tensor, held: KeysValues, given: Pattern, dropout: float, weights: list[Tensor] | None, ndim: int = 3
) -> Tensor:
    """(B, Q, D) with heads side by side; the explicit path where weights are asked for, which come before dropout.

    With `ndim` 2, (B, D) of a single query.
    """
    keys, values = held
    if weights is None:
        found = attended(queries, keys, values, given, dropout)
    else:
        weights.append(attention_weights(queries, keys, given))
        dropped = F.dropout(weights[-1], dropout) if dropout else weights[-1]
        found = dropped.to(values.dtype) @ _for_each_head(values, queries)
    return found.transpose(1, 2).flatten(2) if ndim == 3 else found.flatten(1)


def _by_head(projected: Tensor, size: int) -> Tensor:
    """(B, T, heads E) -> (B, heads, T, E); (B, heads E) -> (B, heads, 1, E)."""
    if projected.ndim == 2:
        return projected.view(projected.shape[0], -1, 1, size)  # len() fixes the size of an export
    parts: Tensor = projected.unflatten(-1, (-1, size))
    return parts.transpose(1, 2)


def _for_each_head(shared: Tensor, queries: Tensor) -> Tensor:
    """(B, G, K, E) -> (B, H, K, E)."""
    times = queries.shape[1] // shared.shape[1]
    return shared if times == 1 else shared.repeat_interleave(times, 1)


def head_size(token: int, heads: int, kv_heads: int | None) -> int:
    """E. Raises ValueError where the heads do not divide the token, or those of keys and values not the heads."""
    if token % heads:
        fitting = ", ".join(str(n) for n in range(1, min(token, 64) + 1) if token % n == 0)
        raise ValueError(f"token={token} must be a multiple of heads={heads}. Heads that fit: {fitting}")
    if kv_heads is not None and heads % kv_heads:
        fitting = ", ".join(str(n) for n in range(1, heads + 1) if heads % n == 0)
        raise ValueError(f"heads={heads} must be a multiple of kv_heads={kv_heads}. Values that fit: {fitting}")
    return token // heads


class SelfAttention(nn.Module):
    """Attention of the positions of a sequence to each other, with one product for queries, keys and values.

    Args:
        token: D.
        heads: H, which divides D.
        kv_heads: G, which divides H; None for H.
        dropout: Probability in [0, 1) that a weight is zeroed in training.

    Raises ValueError for sizes that do not divide.
    """

    def __init__(self, token: int, heads: int, kv_heads: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.head_size = head_size(token, heads, kv_heads)
        self.heads, self.kv_heads, self.dropout = heads, kv_heads or heads, dropout
        self.queries_keys_values = nn.Linear(token, (heads + 2 * self.kv_heads) * self.head_size)
        self.out = nn.Linear(token, token)

    def forward(self, x: Tensor, given: Pattern, weights: list[Tensor] | None = None) -> Tensor:
        """(B, Q, D) -> (B, Q, D). `weights` gets the weights (B, H, Q, Q) before dropout, by the explicit path."""
        queries, held = self._projected(x, given.rotation)
        found: Tensor = self.out(_mixed(queries, held, given, self._probability(), weights))
        return found

    def continued(self, x: Tensor, given: Pattern, cache: CacheLayer) -> Tensor:
        """(B, Q, D) -> (B, Q, D) of queries that attend to all keys of `cache`, which takes in theirs.

        Args:
            x: The new positions; (B, D) -> (B, D) of one for each sequence.
            given: For all keys, those of the new positions last.
            cache: Keys and values of this layer.
        """
        queries, held = self._projected(x, given.rotation)
        mixed = _mixed(queries, cache.extend(*held), given, self._probability(), None, x.ndim)
        found: Tensor = self.out(mixed)
        return found

    def _projected(self, x: Tensor, rotation: Rotation | None) -> tuple[Tensor, KeysValues]:
        parts = _by_head(self.queries_keys_values(x), self.head_size)
        if rotation is None:
            queries, keys, values = parts.split([self.heads, self.kv_heads, self.kv_heads], 1)
        else:
            turned, values = parts.split([self.heads + self.kv_heads, self.kv_heads], 1)
            queries, keys = rotated(turned, rotation).split([self.heads, self.kv_heads], 1)
        return queries, (keys, values)

    def _probability(self) -> float:
        return self.dropout if self.training else 0.0


class CrossAttention(nn.Module):
    """Attention of the positions of one sequence to those of another; arguments as of `SelfAttention`."""

    def __init__(self, token: int, heads: int, kv_heads: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.head_size = head_size(token, heads, kv_heads)
        self.heads, self.kv_heads, self.dropout = heads, kv_heads or heads, dropout
        self.queries = nn.Linear(token, token)
        self.keys_values = nn.Linear(token, 2 * self.kv_heads * self.head_size)
        self.out = nn.Linear(token, token)

    def forward(self, x: Tensor, memory: Tensor, given: Pattern, weights: list[Tensor] | None = None) -> Tensor:
        """(B, Q, D), (B, K, D) -> (B, Q, D)."""
        return self.answered(x, self.read(memory), given, weights)

    def read(self, memory: Tensor) -> KeysValues:
        """Keys and values of the sequence that is attended to, (B, K, D)."""
        keys, values = _by_head(self.keys_values(memory), self.head_size).chunk(2, 1)
        return keys, values

    def answered(self, x: Tensor, held: KeysValues, given: Pattern, weights: list[Tensor] | None = None) -> Tensor:
        """(B, Q, D) -> (B, Q, D), or (B, D) -> (B, D), with keys and values that were read before."""
        queries = _by_head(self.queries(x), self.head_size)
        p = self.dropout if self.training else 0.0
        found: Tensor = self.out(_mixed(queries, held, given, p, weights, x.ndim))
        return found
