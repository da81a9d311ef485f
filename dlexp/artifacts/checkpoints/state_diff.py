"""Bitwise differences between two saved states; unlike `torch.equal`, NaN, signed zeros and types are compared too."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import inf, isnan
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class StateDifference:
    """One place where two states differ.

    where    path of the value, such as last/networks/model.0.weight
    what     a phrase: how many numbers differ and by how much at most, or the two values
    largest  largest absolute difference, None if the two cannot be subtracted
    """

    where: str
    what: str
    largest: float | None = None
    is_tensor: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, by field."""
        return asdict(self)


@dataclass
class Compared:
    """Counts of what was compared: tensors, the numbers in them, and other values."""

    tensors: int = 0
    numbers: int = 0
    values: int = 0


def state_differences(one: Any, other: Any, counted: Compared, where: str = "") -> Iterator[StateDifference]:
    """Every place where `other` differs from `one`, in the order of `one`; adds what was compared to `counted`."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        counted.tensors += 1
        counted.numbers += one.numel()
        found = _between_tensors(one, other, where)
        if found is not None:
            yield found
    elif isinstance(one, Mapping) and isinstance(other, Mapping):
        for key, value in one.items():
            if key in other:
                yield from state_differences(value, other[key], counted, _join(where, key))
            else:
                yield StateDifference(_join(where, key), "is missing in the second")
        for key in other.keys() - one.keys():
            yield StateDifference(_join(where, key), "is missing in the first")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from state_differences(left, right, counted, _join(where, number))
    else:
        counted.values += 1
        if not _same_value(one, other):
            yield StateDifference(where, f"{_shown(one)} and {_shown(other)}", _distance(one, other))


def _between_tensors(one: Tensor, other: Tensor, where: str) -> StateDifference | None:
    if one.shape != other.shape or one.dtype != other.dtype:
        kinds = [f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in (one, other)]
        return StateDifference(where, " and ".join(kinds), is_tensor=True)
    left, right = one.detach().cpu().reshape(-1), other.detach().cpu().reshape(-1)
    if torch.equal(_bits(left), _bits(right)):
        return None
    width = left.element_size()
    changed = (_bits(left).view(-1, width) != _bits(right).view(-1, width)).any(dim=1)
    at = int(changed.nonzero()[0])
    distances = (_wide(left[changed]) - _wide(right[changed])).abs().double()
    largest = float(distances.nan_to_num(torch.inf).max())
    count, pair = int(changed.sum()), f"{_shown(left[at].item())} and {_shown(right[at].item())}"
    place = [int(index) for index in torch.unravel_index(torch.tensor(at), one.shape)]
    text = f"{count:,} of {left.numel():,} numbers differ, by {largest:.3g} at most; the first at {place}: {pair}"
    return StateDifference(where, text, largest, is_tensor=True)


def _wide(flat: Tensor) -> Tensor:
    """The values in a type that subtracts without loss."""
    if flat.is_complex():
        return flat.to(torch.complex128)
    return flat.double() if flat.is_floating_point() else flat.long()


def _bits(flat: Tensor) -> Tensor:
    """(N,) of any type -> (N * width,) uint8."""
    return flat.contiguous().view(torch.uint8)


def _same_value(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return type(one) is type(other) and bool(one == other)


def _distance(one: Any, other: Any) -> float | None:
    both = isinstance(one, int | float) and isinstance(other, int | float)
    if not both:
        return None
    distance = abs(float(one - other))
    return inf if isnan(distance) else distance


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _join(where: str, key: object) -> str:
    return f"{where}/{key}" if where else str(key)
