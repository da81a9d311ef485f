"""Keys and values that a decoder keeps between two steps, in memory that is written in place.

Symbols: B sequences, N layers, G heads of keys and values, P positions so far, L positions that there is room for, E
size of a head, S positions of the source, K rows that are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

KeysValues = tuple[Tensor, Tensor]  # (B, G, P, E) each
_ROOM = 64  # positions that there is room for at first, beyond those of the prompt


class _Store:
    """Memory for the positions of B sequences, which several states may share as far as they agree.

    layers  keys of a layer, then its values, (B, G, L, E) each, layer after layer; empty until a layer writes
    keep    (B, L) bool: which positions belong to the sequence
    at      (B, L) int64: their positions in the sequence
    filled  positions that are written
    """

    def __init__(self, layers: list[Tensor], keep: Tensor, at: Tensor, filled: int) -> None:
        self.layers, self.keep, self.at, self.filled = layers, keep, at, filled

    @property
    def room(self) -> int:
        """L; of layers that a gradient went through, the positions they have."""
        return self.layers[0].shape[2] if self.layers else self.keep.shape[1]

    def copied(self, length: int, room: int) -> _Store:
        """A copy of the first `length` positions, with room for `room`."""

        def wide(old: Tensor, dim: int) -> Tensor:
            shape = list(old.shape)
            shape[dim] = room
            new = old.new_empty(shape)
            new.narrow(dim, 0, length).copy_(old.narrow(dim, 0, length))
            return new

        if torch.is_grad_enabled():  # what a gradient goes through is not written to: layers get longer by a copy
            layers = [one.narrow(2, 0, length) for one in self.layers]
        else:
            layers = [wide(one, 2) for one in self.layers]
        return _Store(layers, wide(self.keep, 1), wide(self.at, 1), length)


@dataclass(frozen=True)
class KeyValueCache:
    """What a decoder keeps of B sequences.

    A state is not changed by a step: the step writes behind its positions, and where another step has written there
    already, it makes a copy first. So two continuations may start from one state, and a single one copies nothing.

    length    P
    ends      (B, 1) int64: the position of the next token of each sequence
    read      keys and values of the source, for each layer; () without a source
    sources   (B, S) bool: which positions of the source count; None for all
    has_gaps  whether some position so far is padding, as behind prompts of different lengths
    """

    store: _Store
    length: int
    ends: Tensor
    read: tuple[KeysValues, ...] = ()
    sources: Tensor | None = None
    has_gaps: bool = False

    def select(self, positions: Tensor) -> Self:
        """The state of the sequences at `positions` (K,) int64, in that order; one may come several times."""
        old = self.store
        layers = [one.index_select(0, positions) for one in old.layers]
        store = _Store(layers, old.keep[positions], old.at[positions], self.length)
        read = tuple((k[positions], v[positions]) for k, v in self.read)
        sources = None if self.sources is None else self.sources[positions]
        return replace(self, store=store, ends=self.ends[positions], read=read, sources=sources)

    def extended(self, keep: Tensor | None, at: Tensor, ends: Tensor) -> Self:
        """The state with room for further positions, whose keys and values `CacheLayer.extend` writes.

        Args:
            keep: (B, T) bool, which of the new positions belong to their sequences; None for all.
            at: (B, T) int64, their positions in the sequences.
            ends: As of the new state.
        """
        length, store = self.length + at.shape[1], self.store
        if self.length != store.filled or length > store.room or torch.is_grad_enabled():
            store = store.copied(self.length, max(length + _ROOM, 2 * self.length))
        store.filled = length
        store.at.narrow(1, self.length, at.shape[1]).copy_(at)
        new = store.keep.narrow(1, self.length, at.shape[1])
        _ = new.fill_(True) if keep is None else new.copy_(keep)
        return replace(self, store=store, length=length, ends=ends)

    @property
    def keep(self) -> Tensor:
        """(B, P) bool: which positions belong to the sequence."""
        return self.store.keep.narrow(1, 0, self.length)

    @property
    def at(self) -> Tensor:
        """(B, P) int64: the positions in the sequences."""
        return self.store.at.narrow(1, 0, self.length)

    def layer(self, number: int) -> CacheLayer:
        """The keys and values of a layer."""
        return CacheLayer(self.store, number, self.length)


@dataclass(frozen=True)
class CacheLayer:
    """The part of a state that belongs to one layer."""

    store: _Store
    number: int
    length: int

    def extend(self, keys: Tensor, values: Tensor) -> KeysValues:
        """Take in keys and values (B, G, T, E) of the last T positions; returns those of all, (B, G, P, E)."""
        return self._written(2 * self.number, keys), self._written(2 * self.number + 1, values)

    def _written(self, place: int, new: Tensor) -> Tensor:
        layers, (rows, heads, count, size) = self.store.layers, new.shape
        before = self.length - count
        if torch.is_grad_enabled():
            layers[place : place + 1] = [torch.cat([layers[place].narrow(2, 0, before), new], 2) if before else new]
            return layers[place]
        if place == len(layers):
            layers.append(new.new_empty(rows, heads, self.store.room, size))
        layers[place].narrow(2, before, count).copy_(new)
        return layers[place].narrow(2, 0, self.length)


def empty_cache(rows: int, device: torch.device, has_gaps: bool = False) -> KeyValueCache:
    """The state of `rows` sequences before the first position."""
    at = torch.zeros(rows, 0, dtype=torch.int64, device=device)
    return KeyValueCache(_Store([], at.bool(), at, 0), 0, at.new_zeros(rows, 1), has_gaps=has_gaps)
