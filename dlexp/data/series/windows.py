"""Columns of windows: inputs and targets are cut out of the series as batches are made, and never copied as a whole.

Symbols: M steps of all series together, N windows, L steps of a window, H of a horizon, C channels, V targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dlexp.data.columns import Piece
from dlexp.types import Sequences, tensor_to_device


@dataclass(frozen=True)
class WindowInputs:
    """The steps before a forecast.

    values  (M, C) float32, series after series
    firsts  (N,) int64 on the CPU: the step of the first target of each window
    length  L
    """

    values: Tensor
    firsts: Tensor
    length: int

    def __len__(self) -> int:
        return len(self.firsts)

    @property
    def shape(self) -> None:
        """None: a piece is `Sequences`."""
        return None

    def to(self, device: torch.device) -> WindowInputs:
        """The same windows on `device`."""
        return WindowInputs(tensor_to_device(self.values, device), self.firsts, self.length)

    def read(self, pieces: Iterable[Piece]) -> Iterator[Sequences]:
        """`Sequences` (B, L, C) of each piece, all of length L."""
        before = torch.arange(-self.length, 0)
        for piece in pieces:
            firsts = self.firsts[piece if isinstance(piece, slice) else piece.cpu()]
            at = (firsts[:, None] + before).to(self.values.device)
            yield Sequences(self.values[at], torch.full((len(firsts),), self.length, device=self.values.device))


@dataclass(frozen=True)
class WindowTargets:
    """The steps of a forecast.

    values  (M, V) float64, series after series, in their own units
    firsts  (N,) int64 on the CPU: the step of the first target of each window
    length  H
    """

    values: Tensor
    firsts: Tensor
    length: int

    def __len__(self) -> int:
        return len(self.firsts)

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, V)."""
        return (self.length, self.values.shape[1])

    def to(self, device: torch.device) -> WindowTargets:
        """The same windows on `device`."""
        return WindowTargets(tensor_to_device(self.values, device), self.firsts, self.length)

    def read(self, pieces: Iterable[Piece]) -> Iterator[Tensor]:
        """(B, H, V) of each piece."""
        ahead = torch.arange(self.length)
        for piece in pieces:
            firsts = self.firsts[piece if isinstance(piece, slice) else piece.cpu()]
            yield self.values[(firsts[:, None] + ahead).to(self.values.device)]
