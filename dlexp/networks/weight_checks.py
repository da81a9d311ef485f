"""Checks of tensors before they are loaded into a network: layout, type and values."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def weights_problem(own: Mapping[str, Tensor], given: Mapping[str, Tensor], *, allow_nonfinite: bool = False) -> str:
    """Describe the first tensor of `given` that cannot be loaded into `own`; "" if all can.

    NaN and infinite values are invalid, unless `own` has the same value there: an attention mask may be infinite.

    Args:
        own: The state of a network that was just built.
        given: Tensors of the same shapes; names that `own` lacks are ignored.
        allow_nonfinite: Check layouts and types only.
    """
    for name, tensor in given.items():
        if name not in own:
            continue
        problem = _kind_problem(own[name], tensor)
        if not problem and not allow_nonfinite:
            problem = _number_problem(own[name], tensor)
        if problem:
            return f"the tensor {name} {problem}"
    return ""


def _kind_problem(own: Tensor, tensor: Tensor) -> str:
    kind = tensor_kind(tensor)
    if kind:
        return f"must be dense, got {kind}"
    if _family(own) != _family(tensor):
        found, wanted = (str(one.dtype).removeprefix("torch.") for one in (tensor, own))
        return f"must be {wanted}, got {found}"
    return ""


def tensor_kind(tensor: Tensor) -> str:
    """The kind of a tensor without plain values in memory, such as a layout; "" for a dense tensor."""
    if tensor.is_nested:
        return "nested"
    if tensor.layout != torch.strided:
        return str(tensor.layout).removeprefix("torch.")
    if tensor.is_quantized:
        return "quantized"
    return "a tensor on the meta device, without values" if tensor.is_meta else ""


def _family(tensor: Tensor) -> str:
    """The family of the type; types of one family convert into each other."""
    if tensor.is_floating_point():
        return "float"
    if tensor.is_complex():
        return "complex"
    return "bool" if tensor.dtype == torch.bool else "integer"


def _number_problem(own: Tensor, tensor: Tensor) -> str:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return ""
    found = tensor.detach().to(own.dtype)  # a value may become infinite in a narrower type
    is_wrong = ~found.isfinite()
    if not is_wrong.any():
        return ""
    there = own.detach().to(found.device)
    if there.shape == found.shape:
        is_wrong &= ~((there == found) | (there.isnan() & found.isnan()))
    count = int(is_wrong.sum())
    return f"has NaN or infinite values ({count:,} of {found.numel():,})" if count else ""
