"""Encoder and decoder layers: attention and feed-forward, each normalized and added.

Symbols: B samples, T positions, S positions of the other sequence, D size of a token.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from dlexp.models.layers import activation
from dlexp.models.transformer.attention import CrossAttention, Pattern, SelfAttention
from dlexp.models.transformer.cache import CacheLayer, KeysValues

PLAIN = ("relu", "gelu", "gelu_tanh", "silu")
GATED = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}


@dataclass(frozen=True)
class Sizes:
    """What the layers of a network have in common.

    token              D
    heads              of attention, which divide D
    kv_heads           heads of keys and values, None for as many
    ffn_factor         units of a feed-forward layer over D
    ffn                kind of the feed-forward layers
    norm               layer or rms
    norm_place         before a sublayer, or after its sum with the residual
    dropout            of what a sublayer adds, in [0, 1)
    attention_dropout  of the weights, in [0, 1)
    ffn_dropout        of the hidden units, None for that of `dropout`
    eps                added to variances
    """

    token: int
    heads: int
    kv_heads: int | None = None
    ffn_factor: float = 4.0
    ffn: str = "gelu"
    norm: str = "layer"
    norm_place: str = "before"
    dropout: float = 0.0
    attention_dropout: float = 0.0
    ffn_dropout: float | None = None
    eps: float = 1e-5

    def normalization(self) -> nn.Module:
        """A new normalization of (..., D). Raises ValueError for an unknown name."""
        if self.norm == "rms":
            return nn.RMSNorm(self.token, eps=self.eps)
        if self.norm != "layer":
            raise ValueError(f"unknown norm={self.norm!r} of a transformer; available: layer, rms")
        return nn.LayerNorm(self.token, eps=self.eps)

    def last_normalization(self) -> nn.Module:
        """What follows the last layer: a normalization where the layers have theirs in front."""
        return self.normalization() if self.is_before() else nn.Identity()

    def is_before(self) -> bool:
        """Whether a sublayer is normalized in front. Raises ValueError for an unknown place."""
        if self.norm_place not in ("before", "after"):
            raise ValueError(f"unknown norm_place={self.norm_place!r}; available: before, after")
        return self.norm_place == "before"


class FeedForward(nn.Module):
    """Two linear layers for each position, and an activation or a gate between them: (..., D) -> (..., D).

    swiglu, geglu and reglu multiply one half of the hidden units by the activation of the other (Shazeer 2020,
    arXiv:2002.05202), and have two thirds of the units, so that the number of weights stays about the same.

    Raises ValueError for an unknown kind.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        kind = sizes.ffn
        if kind not in (*PLAIN, *GATED):
            raise ValueError(f"unknown ffn={kind!r}; available: {', '.join((*PLAIN, *GATED))}")
        self.is_gated = kind in GATED
        hidden = max(1, int(sizes.token * sizes.ffn_factor))
        if self.is_gated:
            hidden = 8 * -(-2 * hidden // 24)  # a multiple of eight
        self.expand = nn.Linear(sizes.token, 2 * hidden if self.is_gated else hidden)
        self.activation = activation(GATED.get(kind, kind))
        self.dropout = nn.Dropout(sizes.dropout if sizes.ffn_dropout is None else sizes.ffn_dropout)
        self.contract = nn.Linear(hidden, sizes.token)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        hidden: Tensor = self.expand(x)
        if self.is_gated:
            gates, values = hidden.chunk(2, -1)
            hidden = self.activation(gates) * values
        else:
            hidden = self.activation(hidden)
        if self.dropout.training:  # a step of a single token would spend more time in calls than in arithmetic
            hidden = self.dropout(hidden)
        found: Tensor = self.contract(hidden)
        return found


class TransformerLayer(nn.Module):
    """Self-attention, attention to another sequence where there is one, and a feed-forward layer.

    With norm_place=after a sublayer's output is norm(x + dropout(sublayer(x))), as first published; with before it is
    x + dropout(sublayer(norm(x))), which trains without a warm-up (Xiong et al. 2020, arXiv:2002.04745).

    Args:
        sizes: Sizes and kinds.
        has_cross: Whether it attends to another sequence.
    """

    def __init__(self, sizes: Sizes, has_cross: bool = False) -> None:
        super().__init__()
        heads = (sizes.token, sizes.heads, sizes.kv_heads, sizes.attention_dropout)
        self.is_before = sizes.is_before()
        self.attention = SelfAttention(*heads)
        self.attention_norm = sizes.normalization()
        self.cross = CrossAttention(*heads) if has_cross else None
        self.cross_norm = sizes.normalization() if has_cross else None
        self.ffn = FeedForward(sizes)
        self.ffn_norm = sizes.normalization()
        self.residual_dropout = nn.Dropout(sizes.dropout)

    def forward(
        self,
        x: Tensor,
        given: Pattern,
        memory: Tensor | None = None,
        memory_pattern: Pattern | None = None,
        weights: list[Tensor] | None = None,
    ) -> Tensor:
        """(B, T, D) -> (B, T, D).

        Args:
            x: Tokens.
            given: Which positions attend to which.
            memory: (B, S, D), the other sequence.
            memory_pattern: Which positions of it count.
            weights: Gets the weights of each attention, (B, H, T, T) and (B, H, T, S), by the explicit path.
        """
        x = self._added(x, self.attention(self._front(x, self.attention_norm), given, weights), self.attention_norm)
        if self.cross is not None and memory is not None:
            assert self.cross_norm is not None
            found = self.cross(self._front(x, self.cross_norm), memory, memory_pattern or Pattern(), weights)
            x = self._added(x, found, self.cross_norm)
        return self._added(x, self.ffn(self._front(x, self.ffn_norm)), self.ffn_norm)

    def continued(
        self,
        x: Tensor,
        given: Pattern,
        cache: CacheLayer,
        read: KeysValues | None = None,
        read_pattern: Pattern | None = None,
    ) -> Tensor:
        """(B, T, D) -> (B, T, D) of the last positions of `cache`, which takes in their keys and values.

        Args:
            x: New positions; (B, D) -> (B, D) of one for each sequence.
            given: Which of all keys, those of the new positions last, count.
            cache: Keys and values of this layer.
            read: Those of the other sequence, by `CrossAttention.read`.
            read_pattern: Which positions of it count.
        """
        found = self.attention.continued(self._front(x, self.attention_norm), given, cache)
        x = self._added(x, found, self.attention_norm)
        if self.cross is not None and read is not None:
            assert self.cross_norm is not None
            found = self.cross.answered(self._front(x, self.cross_norm), read, read_pattern or Pattern())
            x = self._added(x, found, self.cross_norm)
        return self._added(x, self.ffn(self._front(x, self.ffn_norm)), self.ffn_norm)

    def _front(self, x: Tensor, norm: nn.Module) -> Tensor:
        found: Tensor = norm(x) if self.is_before else x
        return found

    def _added(self, x: Tensor, found: Tensor, norm: nn.Module) -> Tensor:
        total = x + (self.residual_dropout(found) if self.residual_dropout.training else found)
        behind: Tensor = total if self.is_before else norm(total)
        return behind
