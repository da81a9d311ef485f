"""Temporal convolutional network: dilated causal convolutions with residuals (Bai et al. 2018, arXiv:1803.01271).

Symbols: B samples, T positions of the longest sequence of the batch, V tokens of the vocabulary, C channels, D size of
the vector of a token, K size of a kernel, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm as normalized

from dlexp.models.initialization import initialized
from dlexp.models.layers import activation as activation_of
from dlexp.models.sequences.inputs import (
    SeriesSteps,
    TokenVectors,
    at_least_one_position,
    position_vectors,
    refuse_tokens_of_series,
)
from dlexp.models.sequences.pooling import SequencePooling, last_state

__all__ = ["receptive_field", "tcn"]


@dataclass(frozen=True)
class RecentSteps:
    """What the convolutions still read of the steps before: (B, C, (K - 1) * dilation) for each, the newest last."""

    inputs: tuple[Tensor, ...]

    def select(self, positions: Tensor) -> Self:
        """The steps of the sequences at `positions` (K,)."""
        return type(self)(tuple(part[positions] for part in self.inputs))


class CausalConv(nn.Conv1d):
    """A dilated convolution whose output at a position reads this position and those before it."""

    @property
    def before(self) -> int:
        """How many positions before its own it reads from."""
        return self.dilation[0] * (self.kernel_size[0] - 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T); before the first position there are zeros."""
        return self.following(F.pad(x, (self.before, 0)))

    def following(self, x: Tensor) -> Tensor:
        """(B, C, before + T) -> (B, C', T)."""
        return F.conv1d(x, self.weight, self.bias, dilation=self.dilation)


class TemporalBlock(nn.Module):
    """Two causal convolutions, each with activation and dropout, added to the input; then the activation again."""

    def __init__(
        self, channels: tuple[int, int], kernel: int, dilation: int, activation: str, dropout: float, init: str
    ) -> None:
        super().__init__()
        first, last = channels
        self.convs = nn.ModuleList(CausalConv(size, last, kernel, dilation=dilation) for size in (first, last))
        self.shortcut = nn.Identity() if first == last else nn.Conv1d(first, last, 1)
        self.activation, self.dropout = activation_of(activation), nn.Dropout(dropout)
        initialized(self, init, activation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T)."""
        found = x
        for conv in self.convs:
            found = self.dropout(self.activation(conv(found)))
        added: Tensor = self.activation(found + self.shortcut(x))
        return added

    def extended(self, x: Tensor, recent: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The same for T more positions, where `recent` holds the steps before; and all steps that each conv read."""
        found, read = x, []
        for conv, steps in zip(self.convs, recent, strict=True):
            assert isinstance(conv, CausalConv)
            read.append(torch.cat([steps.to(found.dtype), found], -1))
            found = self.dropout(self.activation(conv.following(read[-1])))
        return self.activation(found + self.shortcut(x)), read


class TemporalNetwork(nn.Module):
    """(B, T) token ids or (B, T, C) steps, and lengths (B,) -> (B, O), or (B, T, O) without pooling.

    receptive_field  how many positions, its own included, an output reads
    """

    def __init__(
        self,
        vectors: TokenVectors | SeriesSteps,
        blocks: Sequence[TemporalBlock],
        pooling: SequencePooling | None,
        output: nn.Linear,
    ) -> None:
        super().__init__()
        self.vectors, self.blocks, self.pooling, self.output = vectors, nn.ModuleList(blocks), pooling, output
        self.receptive_field = 1 + sum(conv.before for conv in self._convs())

    @property
    def is_causal(self) -> bool:
        """Whether the output at a position depends on this position and those before it alone."""
        return self.pooling is None

    def _convs(self) -> list[CausalConv]:
        return [module for module in self.blocks.modules() if isinstance(module, CausalConv)]

    def states(self, values: Tensor) -> Tensor:
        """The outputs of the last block, (B, T, C)."""
        x: Tensor = self.vectors(at_least_one_position(values)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return x.transpose(1, 2)

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """-> (B, O) or (B, T, O)."""
        states = self.states(values)
        if self.pooling is not None:
            states = self.pooling(states, lengths)
        elif not values.shape[1]:
            states = states[:, :0]
        found: Tensor = self.output(states)
        return found

    def attention_maps(self, values: Tensor, lengths: Tensor | None = None) -> dict[str, Tensor]:
        """The weights of the positions, "pooling" (B, 1, 1, T), where pooling is attention; else none."""
        return {} if self.pooling is None else self.pooling.attention_maps(self.states(values), lengths)

    def start(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, RecentSteps]:
        """Scores (B, V) of the token after each of the prompts (B, T) of these lengths, and what the next step reads.

        Raises ValueError for a network of series, or with pooling.
        """
        refuse_tokens_of_series("a temporal convolutional network", self.vectors)
        if self.pooling is not None:
            raise ValueError(
                "a network with one output for each sequence puts out no next token. Use task=language_model"
            )
        x = self.vectors(at_least_one_position(values)).transpose(1, 2)
        empty = [x.new_zeros(len(x), conv.in_channels, conv.before) for conv in self._convs()]
        x, read = self._extended(x, empty)
        # Of what a convolution read, the `before` positions that end with the last own one; in front there are zeros.
        recent = [_ending_at(steps, lengths, conv.before) for steps, conv in zip(read, self._convs(), strict=True)]
        last = last_state(x.transpose(1, 2), lengths).masked_fill((lengths == 0)[:, None], 0)
        return self.output(last), RecentSteps(tuple(recent))

    def step(self, tokens: Tensor, state: RecentSteps) -> tuple[Tensor, RecentSteps]:
        """Scores (B, V) of the token after `tokens` (B,), and what the next step reads."""
        x, read = self._extended(self.vectors(tokens[:, None]).transpose(1, 2), state.inputs)
        return self.output(x[..., -1]), RecentSteps(tuple(steps[..., 1:] for steps in read))

    def _extended(self, x: Tensor, recent: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        read: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            assert isinstance(block, TemporalBlock)
            x, steps = block.extended(x, recent[2 * number : 2 * number + 2])
            read += steps
        return x, read


def _ending_at(steps: Tensor, lengths: Tensor, count: int) -> Tensor:
    """(B, C, count + T) -> (B, C, count): the positions in front of `lengths` + count."""
    positions = lengths[:, None] + torch.arange(count, device=steps.device)
    return steps.gather(2, positions[:, None].expand(-1, steps.shape[1], -1))


def receptive_field(kernel: int, blocks: int) -> int:
    """How many positions an output of `tcn` reads, its own included: 1 + 2 (K - 1) (2^blocks - 1)."""
    return 1 + 2 * (kernel - 1) * ((1 << blocks) - 1)


def tcn(
    *,
    num_outputs: int,
    vocabulary_size: int | None = None,
    in_channels: int | None = None,
    per_position: bool = False,
    token: int = 64,
    channels: Sequence[int] = (64, 64, 64, 64, 64),
    kernel: int = 3,
    activation: str = "relu",
    weight_norm: bool = True,
    dropout: float = 0.1,
    pooling: str = "last",
    init: str = "default",
) -> TemporalNetwork:
    """Temporal convolutional network: (B, T) or (B, T, C) -> (B, O), or (B, T, O) for each position; causal.

    The dilation of block n is 2^n, so that an output reads `receptive_field(kernel, len(channels))` positions.

    Args:
        num_outputs: O.
        vocabulary_size: Number of tokens; None for a series.
        in_channels: C of a series.
        per_position: Whether there are outputs at each position, without pooling.
        token: Size D of the learned vector of a token.
        channels: Channels of each block, from first to last.
        kernel: K.
        activation: Name of the activation.
        weight_norm: Whether direction and length of a kernel are learned apart (Salimans & Kingma 2016).
        dropout: Probability in [0, 1) that a unit is zeroed in training, after each convolution.
        pooling: last, mean, max or attention, as in dlexp.models.sequences.pooling.
        init: Initialization, as in dlexp.models.initialization.

    Raises ValueError for unknown names, pooling=final, and data that are no sequences.
    """
    if pooling == "final":
        raise ValueError("pooling='final' requires a recurrent network. Use pooling=last")
    vectors = position_vectors("tcn", vocabulary_size, in_channels, token)
    sizes = pairwise([vectors.embedding_dim, *channels])
    blocks = [TemporalBlock(pair, kernel, 2**number, activation, dropout, init) for number, pair in enumerate(sizes)]
    if weight_norm:
        for block in blocks:
            for conv in block.convs:
                normalized(conv)
    pooled = None if per_position else SequencePooling(pooling, channels[-1])
    return TemporalNetwork(vectors, blocks, pooled, nn.Linear(channels[-1], num_outputs))
