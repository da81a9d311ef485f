"""What is wrong with tensors that are to become a network's: their kind, their type, their numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def weights_problem(own: Mapping[str, Tensor], given: Mapping[str, Tensor], *, allow_nonfinite: bool = False) -> str:
    """What is wrong with the first tensor of `given` that cannot take its place in `own`; "" when all can.

    A number that is NaN or infinite is wrong, unless `own` has the same one there: the mask of an attention may be
    infinite from the beginning.

    own              the state of a network that was just built
    given            of the same shapes; names that `own` lacks are passed over
    allow_nonfinite  look at kinds and types alone
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
    kind = kind_of(tensor)
    if kind:
        return f"is {kind}, and must be dense"
    if _family(own) != _family(tensor):
        found, wanted = (str(one.dtype).removeprefix("torch.") for one in (tensor, own))
        return f"is of type {found}, and must be {wanted}"
    return ""


def kind_of(tensor: Tensor) -> str:
    """What a tensor is that does not hold plain numbers in memory, "" for one that does."""
    if tensor.is_nested:
        return "nested"
    if tensor.layout != torch.strided:
        return str(tensor.layout).removeprefix("torch.")
    if tensor.is_quantized:
        return "quantized"
    return "on the meta device, without numbers" if tensor.is_meta else ""


def _family(tensor: Tensor) -> str:
    """Types that become each other without a loss of meaning."""
    if tensor.is_floating_point():
        return "float"
    if tensor.is_complex():
        return "complex"
    return "bool" if tensor.dtype == torch.bool else "integer"


def _number_problem(own: Tensor, tensor: Tensor) -> str:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return ""
    found = tensor.detach().to(own.dtype)  # a number may become infinite in a narrower type
    is_wrong = ~found.isfinite()
    if not is_wrong.any():
        return ""
    there = own.detach().to(found.device)
    if there.shape == found.shape:
        is_wrong &= ~((there == found) | (there.isnan() & found.isnan()))
    count = int(is_wrong.sum())
    return f"holds {count:,} of {found.numel():,} numbers that are NaN or infinite" if count else ""
