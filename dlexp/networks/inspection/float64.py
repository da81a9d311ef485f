"""Computations in float64 throughout, also where a network or a loss asks for fewer digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_NARROW = (torch.float32, torch.float16, torch.bfloat16)
_CASTS = (Tensor.float, Tensor.half, Tensor.bfloat16)


class _Widening(TorchFunctionMode):
    """Replaces every other floating-point type that is named by float64."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = {key: _wide(value) for key, value in (kwargs or {}).items()}
        return (Tensor.double if func in _CASTS else func)(*map(_wide, args), **named)


def _wide(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value in _NARROW else value


@contextmanager
def in_float64() -> Iterator[None]:
    """Let casts to float32, float16 and bfloat16 in the body give float64, and new tensors be float64 by default.

    What was made before keeps its type, so networks and inputs are converted by the caller.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Widening():
            yield
    finally:
        torch.set_default_dtype(before)
