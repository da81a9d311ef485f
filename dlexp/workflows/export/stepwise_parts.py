"""A network that puts out one token after another, as two networks whose inputs and outputs are tensors.

The encoder reads the sources and puts out the state; the step takes a token and the state, and puts out the scores of
the next token and what has changed of the state.

Symbols: B samples, T positions of the longest source, P tokens so far, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from dlexp.artifacts.exports.formats import Signature
from dlexp.models.transformer.cache import KeysValues, KeyValueCache
from dlexp.types import Sequences

LOGITS, TOKENS, NEXT = "logits", "tokens", "next."


@runtime_checkable
class Encoding(Protocol):
    """A network of sources that is stepwise, and tells its first state without a step."""

    def initial(self, values: Tensor, lengths: Tensor) -> Any:
        """The state in front of the first token."""

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Scores (B, V) of the token after `tokens` (B,), and the state."""


@dataclass(frozen=True)
class GrowingCache:
    """What a decoder keeps, as tensors alone that get longer by a copy: a network of tensors has no other memory.

    layers   keys and values (B, G, P, E) of each layer; filled by a step, layer after layer
    at       (B, P) int64: the positions in the sequences
    ends     (B, 1) int64: the position of the next token
    read     keys and values of the source, for each layer
    sources  (B, S) bool: which positions of the source count; None for all
    """

    layers: list[KeysValues]
    at: Tensor
    ends: Tensor
    read: tuple[KeysValues, ...]
    sources: Tensor | None
    earlier: tuple[KeysValues, ...] | None = None
    has_gaps: bool = False

    @property
    def length(self) -> int:
        """P."""
        return self.at.shape[1]

    def extended(self, keep: Tensor | None, at: Tensor, ends: Tensor) -> GrowingCache:
        """The state with room for further positions, whose keys and values `extend` of each layer writes."""
        assert keep is None
        after = torch.cat([self.at, at], 1)
        return replace(self, layers=[], at=after, ends=ends, earlier=tuple(self.layers))

    def layer(self, number: int) -> GrowingLayer:
        """The keys and values of a layer."""
        assert self.earlier is not None
        return GrowingLayer(self.layers, self.earlier[number])


@dataclass(frozen=True)
class GrowingLayer:
    """The part of a state that belongs to one layer, which is the next one of `layers`."""

    layers: list[KeysValues]
    before: KeysValues

    def extend(self, keys: Tensor, values: Tensor) -> KeysValues:
        """Take in keys and values (B, G, T, E) of the last T positions; returns those of all, (B, G, P, E)."""
        found = torch.cat([self.before[0], keys], 2), torch.cat([self.before[1], values], 2)
        self.layers.append(found)
        return found


def tensors_of(state: Any, name: str = "") -> dict[str, Tensor]:
    """All tensors of a state by name, such as layers.0.1."""
    return dict(_named(state, name))


def _named(state: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    before = f"{name}." if name else ""
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, tuple | list):
        for number, part in enumerate(state):
            yield from _named(part, f"{before}{number}")
    elif is_dataclass(state):
        for field in fields(state):
            if field.name != "earlier":  # read by a step, and no part of the state after it
                yield from _named(getattr(state, field.name), f"{before}{field.name}")


def with_tensors(state: Any, tensors: Iterator[Tensor]) -> Any:
    """`state` with other tensors, in the order of `tensors_of`."""
    if isinstance(state, Tensor):
        return next(tensors)
    if isinstance(state, tuple | list):
        return type(state)(with_tensors(part, tensors) for part in state)
    if is_dataclass(state) and not isinstance(state, type):
        return replace(state, **{field.name: with_tensors(getattr(state, field.name), tensors)
                                 for field in fields(state) if field.name != "earlier"})  # fmt: skip
    return state


def initial_state(network: Encoding, values: Tensor, lengths: Tensor) -> Any:
    """The first state, whose tensors are as many as those of every later one."""
    state = network.initial(values, lengths)
    if isinstance(state, KeyValueCache):
        nothing = [(keys[:, :, :0], values[:, :, :0]) for keys, values in state.read]
        return GrowingCache(nothing, state.at, state.ends, state.read, state.sources)
    return state


class EncoderPart(nn.Module):
    """Sources -> the tensors of the first state."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """(B, T, ...), (B,) -> the state."""
        assert isinstance(self.network, Encoding)
        return tuple(tensors_of(initial_state(self.network, values, lengths)).values())


class StepPart(nn.Module):
    """A token and the tensors of a state -> scores, and the tensors of the next state that are others."""

    def __init__(self, network: nn.Module, state: Any) -> None:
        super().__init__()
        self.network, self._state = network, state

    def forward(self, tokens: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """(B,) int64, the state -> (B, V), what has changed."""
        assert isinstance(self.network, Encoding)
        logits, after = self.network.step(tokens, with_tensors(self._state, iter(state)))
        changed = (new for old, new in zip(state, tensors_of(after).values(), strict=True) if new is not old)
        return logits, *changed


@dataclass(frozen=True)
class Part:
    """One of the two networks.

    name       encoder or step
    network    with tensors alone
    example    its inputs by name
    signature  names of its outputs, and the free axes of its inputs
    """

    name: str
    network: nn.Module
    example: Mapping[str, Tensor]
    signature: Signature


def encoder_and_step(network: nn.Module, sources: Sequences) -> tuple[Part, Part]:
    """Encoder and step, with examples of at least two samples, positions and tokens."""
    assert isinstance(network, Encoding)
    state = _after_two(network, sources)
    shorter = _after_two(network, Sequences(sources.values[1:, 1:], (sources.lengths[1:] - 1).clamp(min=1)), 3)
    named, others = tensors_of(state), tensors_of(shorter)
    free = {
        name: tuple(axis for axis, (one, two) in enumerate(zip(value.shape, others[name].shape, strict=True))
                    if one != two)
        for name, value in named.items()
    }  # fmt: skip
    _, after = network.step(torch.zeros(len(sources), dtype=torch.int64), state)
    changed = [name for name, new in tensors_of(after).items() if new is not named[name]]
    encoder = Part(
        "encoder",
        EncoderPart(network),
        {"values": sources.values, "lengths": sources.lengths},
        Signature(tuple(named), {"values": (0, 1), "lengths": (0,)}),
    )
    step = Part(
        "step",
        StepPart(network, state),
        {
            TOKENS: torch.zeros(len(sources), dtype=torch.int64),
            **{name: one.contiguous() for name, one in named.items()},
        },
        Signature((LOGITS, *(f"{NEXT}{name}" for name in changed)), {TOKENS: (0,), **free}),
    )
    return encoder, step


def _after_two(network: Encoding, sources: Sequences, steps: int = 2) -> Any:
    state = initial_state(network, sources.values, sources.lengths)
    for _ in range(steps):
        _, state = network.step(torch.zeros(len(sources), dtype=torch.int64), state)
    return state
