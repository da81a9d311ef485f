"""Containers of tensors."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

_NEVER_CHANGE = (int, float, str, bool, bytes, type(None))  # what most of a state is: the words of Python's generator


def snapshot(value: Any) -> Any:
    """Plain containers with every tensor copied to the CPU, once, so that nothing that goes on changes it."""
    return _copied(value, {})


def _copied(value: Any, copies: dict[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        if id(value) not in copies:
            copies[id(value)] = value.detach().to("cpu", copy=True)
        return copies[id(value)]
    if isinstance(value, dict):
        return {key: _copied(item, copies) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([item if type(item) in _NEVER_CHANGE else _copied(item, copies) for item in value])
    return copy.copy(value)


def tensor_bytes(value: Any) -> int:
    """Bytes of all tensors in plain containers; a storage that two of them share counts twice."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(tensor_bytes(item) for item in value.values())
    if isinstance(value, list | tuple):
        return sum(tensor_bytes(item) for item in value if type(item) not in _NEVER_CHANGE)
    return 0


def sha256(tensors: Iterable[Tensor]) -> str:
    """SHA-256 over the bytes of some tensors, in order."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().to("cpu", copy=True).contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def doubled(values: Tensor) -> Tensor:
    """float64, on the device of `values`; on the CPU for Apple's GPUs, which have nothing wider than float32."""
    return (values.cpu() if values.device.type == "mps" else values).double()
