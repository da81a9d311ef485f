"""Functions on tensors and on containers of tensors."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

_NEVER_CHANGE = frozenset((int, float, str, bool, bytes, type(None)))  # immutable types, which need no copy


def snapshot(value: Any) -> Any:
    """A deep copy of plain containers, with every tensor copied to the CPU once."""
    return _copied(value, {})


def _copied(value: Any, copies: dict[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        copy_of = copies.get(id(value))
        if copy_of is None:
            own = value.detach() if value.requires_grad else value
            # `clone` takes less than half the time of `to`, and most of a small network's state are small tensors
            copies[id(value)] = copy_of = own.clone() if own.device.type == "cpu" else own.to("cpu", copy=True)
        return copy_of
    if isinstance(value, dict):
        return {key: item if type(item) in _NEVER_CHANGE else _copied(item, copies) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([item if type(item) in _NEVER_CHANGE else _copied(item, copies) for item in value])
    return copy.copy(value)


def tensor_bytes(value: Any) -> int:
    """Total size in bytes of the tensors in plain containers; shared storage counts twice."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(tensor_bytes(item) for item in value.values())
    if isinstance(value, list | tuple):
        return sum(tensor_bytes(item) for item in value if type(item) not in _NEVER_CHANGE)
    return 0


def sha256(tensors: Iterable[Tensor]) -> str:
    """SHA-256 over the bytes of `tensors`, in order."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().to("cpu", copy=True).contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def as_float64(values: Tensor) -> Tensor:
    """`values` as float64 on their device; on the CPU for Apple GPUs, which do not support float64."""
    return (values.cpu() if values.device.type == "mps" else values).double()
