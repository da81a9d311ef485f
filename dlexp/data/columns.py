"""Columns: the inputs, or the targets, of all samples of a split, wherever they are and whatever they are.

Symbols: N samples of a column, B samples of a piece, T positions of the longest sequence of a piece, M positions of all
sequences together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol, Self

import torch
from torch import Tensor

from dlexp.types import Field, Sequences, as_tensor, tensor_to_device, to_device

Piece = slice | Tensor  # some positions in a column: a range, or their numbers (B,) int64


class Column(Protocol):
    """N aligned values."""

    def __len__(self) -> int:
        """N."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of one value; None where values differ in shape, or are several tensors."""

    def to(self, device: torch.device) -> Self:
        """The same column, whose pieces are on `device`."""

    def read(self, pieces: Iterable[Piece]) -> Iterator[Field]:
        """The values of each piece in turn."""


class Transform(Protocol):
    """A change of samples, such as augmentation, of inputs and targets together.

    moves_targets  whether targets are changed at all; where not, inputs may be changed without them
    """

    @property
    def moves_targets(self) -> bool: ...

    def __call__(self, inputs: Field, targets: Field | None, indices: Tensor) -> tuple[Field, Field | None]:
        """Inputs and targets of B samples and their numbers (B,) -> the changed inputs and targets."""


@dataclass(frozen=True)
class Dense:
    """Values of one shape, in memory.

    values  (N, ...)
    """

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one value."""
        return tuple(self.values.shape[1:])

    def to(self, device: torch.device) -> Dense:
        """The same values on `device`."""
        return Dense(tensor_to_device(self.values, device))

    def read(self, pieces: Iterable[Piece]) -> Iterator[Tensor]:
        """(B, ...) of each piece."""
        values = self.values
        for piece in pieces:
            yield values[piece] if isinstance(piece, slice) else values[piece.to(values.device)]


@dataclass(frozen=True)
class Ragged:
    """Sequences of different lengths, in memory one after the other.

    values   (M, ...)
    offsets  (N + 1,) int64 on the CPU: where each sequence begins, and M
    """

    values: Tensor
    offsets: Tensor

    @classmethod
    def from_sequences(cls, padded: Sequences) -> Ragged:
        """The sequences of a batch without their padding."""
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), padded.lengths.cpu().cumsum(0)])
        return cls(padded.values[padded.mask], offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def shape(self) -> None:
        """None: lengths differ."""
        return None

    def to(self, device: torch.device) -> Ragged:
        """The same sequences on `device`."""
        return Ragged(tensor_to_device(self.values, device), self.offsets)

    def read(self, pieces: Iterable[Piece]) -> Iterator[Sequences]:
        """`Sequences` of each piece, padded to its own longest."""
        for piece in pieces:
            at = piece if isinstance(piece, slice) else piece.cpu()
            starts = self.offsets[:-1][at]
            yield gathered(self.values, starts, self.offsets[1:][at] - starts)


@dataclass(frozen=True)
class Keyed:
    """Several columns of tensors by name; a piece of it is a mapping."""

    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def shape(self) -> None:
        """None: there are several."""
        return None

    def to(self, device: torch.device) -> Keyed:
        """The same columns on `device`."""
        return Keyed({name: column.to(device) for name, column in self.columns.items()})

    def read(self, pieces: Iterable[Piece]) -> Iterator[Mapping[str, Tensor]]:
        """A tensor (B, ...) of each column."""
        pieces = list(pieces)
        for values in zip(*(column.read(pieces) for column in self.columns.values()), strict=True):
            yield dict(zip(self.columns, map(as_tensor, values), strict=True))


@dataclass(frozen=True)
class Constant:
    """The same value N times, in the memory of one.

    value  a batch of B = 1
    """

    value: Field
    count: int

    def __len__(self) -> int:
        return self.count

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of the value, where it is one tensor."""
        return tuple(self.value.shape[1:]) if isinstance(self.value, Tensor) else None

    def to(self, device: torch.device) -> Constant:
        """The same value on `device`."""
        return Constant(to_device(self.value, device), self.count)

    def read(self, pieces: Iterable[Piece]) -> Iterator[Field]:
        """The value as often as each piece has positions."""
        for piece in pieces:
            size = len(range(self.count)[piece]) if isinstance(piece, slice) else len(piece)
            yield _repeated(self.value, size)


def transforms_of(given: Transform | Sequence[Transform] | None, count: int) -> Sequence[Transform | None]:
    """The transform of each of `count` pieces, where one is given for all of them or one for each."""
    return list(given) if isinstance(given, Sequence) else [given] * count


def gathered(values: Tensor, starts: Tensor, lengths: Tensor) -> Sequences:
    """Stretches of values that lie one after the other, padded with zeros to the longest.

    Args:
        values: (M, ...).
        starts: (B,) int64 on the CPU: where each stretch begins.
        lengths: (B,) int64 on the CPU.
    """
    places = torch.arange(int(lengths.max()) if len(lengths) else 0)
    is_padding = places >= lengths[:, None]
    found = values[(starts[:, None] + places).masked_fill_(is_padding, 0).to(values.device)]
    padding = is_padding.to(values.device).reshape(*is_padding.shape, *(1,) * (found.dim() - 2))
    return Sequences(found.masked_fill(padding, 0), lengths.to(values.device))


def column_of(given: Field) -> Column:
    """The samples of a batch as a column in memory."""
    if isinstance(given, Tensor):
        return Dense(given)
    if isinstance(given, Sequences):
        return Ragged.from_sequences(given)
    return Keyed({name: Dense(value) for name, value in given.items()})


def read_all(column: Column) -> Field:
    """Everything that a column holds, as one piece."""
    return next(iter(column.read([slice(0, len(column))])))


def tensor_of(column: Column | None) -> Tensor:
    """All values of a column of one shape (N, ...); a column in memory is not copied. Raises TypeError for others."""
    return as_tensor(None if column is None else read_all(column))


def column_size(column: Column | None) -> int | None:
    """Numbers of one value, 0 without a column; None where values differ in shape."""
    if column is None:
        return 0
    return None if column.shape is None else prod(column.shape)


def _repeated(value: Field, count: int) -> Field:
    if isinstance(value, Tensor):
        return value.expand(count, *value.shape[1:])
    if isinstance(value, Sequences):
        return Sequences(value.values.expand(count, *value.values.shape[1:]), value.lengths.expand(count))
    return {name: one.expand(count, *one.shape[1:]) for name, one in value.items()}
