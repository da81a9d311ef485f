"""Decoder-only transformer: a language model (Radford et al. 2018, 2019).

Symbols: B samples, T positions of the longest sequence of a batch, D size of a token, H heads, V tokens of the
vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dlexp.models.transformer.cache import KeyValueCache, empty_cache
from dlexp.models.transformer.encoder import positions_for
from dlexp.models.transformer.initialization import initialize_as_gpt
from dlexp.models.transformer.layers import Sizes
from dlexp.models.transformer.positions import Positions
from dlexp.models.transformer.stacks import InputVectors, Stack, attended_positions

__all__ = ["gpt"]


class Gpt(nn.Module):
    """Layers in which each position attends to itself and to those before it, and scores of the next token.

    Args:
        entry: What makes vectors of size D of tokens.
        stack: The layers.
        tied: Whether the scores are products with the embeddings.
    """

    def __init__(self, entry: InputVectors, stack: Stack, tied: bool) -> None:
        super().__init__()
        self.entry, self.stack = entry, stack
        assert isinstance(entry.vectors, nn.Embedding)
        self.head = nn.Linear(entry.vectors.embedding_dim, entry.vectors.num_embeddings, bias=False)
        if tied:
            self.head.weight = entry.vectors.weight

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, T, V): scores of the token behind each position.

        Padding is behind what counts, so `lengths` (B,) change nothing. Raises ValueError for sequences longer than
        learned positions.
        """
        del lengths
        x = self._embedded(values)
        scores: Tensor = self.head(self.stack(x, self.stack.causal(x)))
        return scores

    def attention_maps(self, values: Tensor, lengths: Tensor | None = None) -> Mapping[str, Tensor]:
        """Weights (B, H, T, T) by the names decoder.0.self, ..."""
        weights: list[Tensor] = []
        x = self._embedded(values)
        self.stack(x, self.stack.causal(x, attended_positions(values, lengths)), weights)
        return {f"decoder.{number}.self": found for number, found in enumerate(weights)}

    def start(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, KeyValueCache]:
        """Scores (B, V) behind the prompts (B, T), and the state to go on from; see dlexp.models.stepwise.

        Raises ValueError for an empty prompt.
        """
        if len(lengths) and int(lengths.min()) < 1:
            row = int(lengths.argmin())
            raise ValueError(f"prompt {row} has no token. Give each prompt at least one: a newline starts a text")
        values = values[:, : int(lengths.max())] if len(lengths) else values
        keep = attended_positions(values, lengths)
        assert keep is not None
        at = torch.arange(values.shape[1], device=values.device).expand(len(values), -1)
        x = self._embedded(values)
        empty = empty_cache(len(values), values.device, has_gaps=not bool(keep.all()))
        states, kept = self.stack.continued(x, at, empty, keep)
        last = states[torch.arange(len(values), device=values.device), lengths - 1]
        return self.head(last), kept

    def step(self, tokens: Tensor, state: KeyValueCache) -> tuple[Tensor, KeyValueCache]:
        """Scores (B, V) of the token behind `tokens` (B,), and the next state."""
        x = self.entry(tokens[:, None], state.ends, state.length + 1)
        states, state = self.stack.continued(x, state.ends, state)
        return self.head(states[:, -1]), state

    def _embedded(self, values: Tensor) -> Tensor:
        found: Tensor = self.entry(values, torch.arange(values.shape[1], device=values.device), values.shape[1])
        return found


def gpt(
    *,
    vocabulary_size: int,
    num_outputs: int,
    max_length: int,
    token: int = 128,
    blocks: int = 4,
    heads: int = 4,
    kv_heads: int | None = None,
    ffn_factor: float = 4.0,
    ffn: str = "gelu",
    norm: str = "layer",
    norm_place: str = "before",
    positions: str = "learned",
    max_positions: int | None = None,
    tied: bool = True,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
) -> Gpt:
    """Language model of the GPT family: (B, T) tokens -> (B, T, V) scores of the next token.

    norm=rms, ffn=swiglu, positions=rotary and kv_heads below heads are those of Llama (Touvron et al. 2023).

    Args:
        vocabulary_size: V.
        num_outputs: V again, as the targets have it.
        max_length: Positions of the longest sequence of the data.
        token: D, a multiple of heads.
        blocks: Number of layers.
        heads: H.
        kv_heads: Heads of keys and values, which divide H; None for H.
        ffn_factor: Units of a feed-forward layer over D.
        ffn: relu, gelu, gelu_tanh, silu, swiglu, geglu or reglu.
        norm: layer or rms.
        norm_place: before a sublayer, or after its sum with the residual.
        positions: sinusoidal, learned, rotary, alibi or none.
        max_positions: Positions that learned ones exist for; None for those of the data.
        tied: Whether the scores are products with the embeddings (Press & Wolf 2017, arXiv:1608.05859).
        dropout: Probability in [0, 1) that a component of a token or of what a layer adds is zeroed.
        attention_dropout: Probability in [0, 1) that an attention weight is zeroed.

    Raises ValueError for unknown names, sizes that do not divide, max_positions below the longest sequence, and targets
    that are not the next tokens.
    """
    if num_outputs != vocabulary_size:
        raise ValueError(
            f"gpt predicts the next token, one of {vocabulary_size}, and these targets have {num_outputs} outputs. Set "
            "model=transformer_encoder"
        )
    sizes = Sizes(
        token, heads, kv_heads, ffn_factor, ffn, norm, norm_place, dropout, attention_dropout, ffn_dropout=0.0
    )
    place = Positions(positions, token, positions_for(positions, max_length, max_positions))
    entry = InputVectors("gpt", vocabulary_size, None, place, 1.0, dropout)
    network = Gpt(entry, Stack(sizes, blocks, positions), tied)
    initialize_as_gpt(network, blocks)
    return network
