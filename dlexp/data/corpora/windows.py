"""Windows of a long sequence of tokens: a token and the one after it, at each place.

Symbols: N windows, B windows of a piece, T tokens of the longest window of a piece, M tokens of the sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dlexp.data.columns import Piece, gathered
from dlexp.types import Sequences

IGNORED = -1  # a target that is context alone


@dataclass(frozen=True)
class Windows:
    """Windows of one sequence, which is kept once.

    tokens  (M,) int64
    starts  (N,) int64 on the CPU: the place of the first token of each window
    ends    (N,) int64 on the CPU: the place after its last one
    first   (N,) int64 on the CPU: the place from which a window's tokens count; those before are `IGNORED`. None for
            all of them
    """

    tokens: Tensor
    starts: Tensor
    ends: Tensor
    first: Tensor | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def shape(self) -> None:
        """None: windows may differ in length."""
        return None

    def to(self, device: torch.device) -> Windows:
        """The same windows on `device`."""
        return Windows(self.tokens.to(device), self.starts, self.ends, self.first)

    def read(self, pieces: Iterable[Piece]) -> Iterator[Sequences]:
        """`Sequences` of each piece, padded to its own longest."""
        for piece in pieces:
            at = piece if isinstance(piece, slice) else piece.cpu()
            starts = self.starts[at]
            found = gathered(self.tokens, starts, self.ends[at] - starts)
            if self.first is not None:
                is_context = torch.arange(found.values.shape[1]) < (self.first[at] - starts)[:, None]
                found.values.masked_fill_(is_context.to(self.tokens.device) & found.mask, IGNORED)
            yield found


def training_windows(tokens: Tensor, window: int, stride: int) -> tuple[Windows, Windows]:
    """(inputs, targets) of windows that begin every `stride` tokens; each target is the token after its input.

    With `stride` = `window` each token but the first is a target once.

    Args:
        tokens: (M,) int64, M >= 2.
        window: Tokens of a window; the last one may be shorter.
        stride: Tokens between the beginnings of two windows, in [1, window].
    """
    starts = torch.arange(0, len(tokens) - 1, stride)
    if len(starts) > 1 and stride < window:  # a window that lies within the one before it adds nothing
        starts = starts[: int((starts + window < len(tokens) - 1).sum()) + 1]
    ends = (starts + window).clamp(max=len(tokens) - 1)
    return Windows(tokens, starts, ends), Windows(tokens[1:], starts, ends)


def evaluation_windows(tokens: Tensor, window: int, context: int) -> tuple[Windows, Windows]:
    """(inputs, targets) of windows in which every token but the first counts exactly once.

    Args:
        tokens: (M,) int64, M >= 2.
        window: Tokens of a window.
        context: Tokens at the beginning of each window but the first that are read and do not count, in [0, window).
    """
    count = len(tokens) - 1
    starts = torch.arange(0, max(1, count - context), window - context)
    ends = (starts + window).clamp(max=count)
    first = starts + context
    first[0] = 0
    return Windows(tokens, starts, ends), Windows(tokens[1:], starts, ends, first)
