"""Rules for the gradient of a phase between `backward()` and the optimizer's step: norm, noise, finiteness."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import isfinite

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

_LEAST_NORM = 1e-12  # a gradient of zeros stays one


def forget_gradients(optimizer: Optimizer) -> None:
    """Do what `optimizer.zero_grad()` does, without the profiler's marks around it: those cost more than the work."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def limit_gradient(
    networks: Sequence[nn.Module], scaler: GradScaler, optimizer: Optimizer, largest: float | None, norm: float | None
) -> Tensor | None:
    """Scale the gradient of a phase down to a largest norm, or up or down to a norm.

    Args:
        networks: Those that the phase updates.
        scaler: The fp16 scaler; the gradient is divided by its scale first.
        optimizer: The optimizer of the phase.
        largest: Largest norm of the whole gradient, None for no limit.
        norm: The norm that it is scaled to, None for no such norm; it has precedence.

    Returns the norm before that, shape (), or None where neither is set.
    """
    if largest is None and norm is None:
        return None
    scaler.unscale_(optimizer)  # else the limit would be compared with scaled gradients
    parameters = [p for network in networks for p in network.parameters()]
    if norm is None:
        return nn.utils.clip_grad_norm_(parameters, largest or 0.0)
    gradients = [p.grad for p in parameters if p.grad is not None]
    before = nn.utils.get_total_norm(gradients)
    torch._foreach_mul_(gradients, norm / before.clamp_min(_LEAST_NORM))
    return before


def is_gradient_finite(optimizer: Optimizer) -> bool:
    """Whether every gradient is finite: one pass with the kernel of a gradient scaler, at a scale of 1."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if not gradients:
        return True
    found, one = _found_and_one(gradients[0].device)
    try:
        torch._amp_foreach_non_finite_check_and_unscale_(gradients, found, one)
    except (RuntimeError, NotImplementedError):  # gradients that are sparse or complex, or on several devices
        return all(isfinite(float(torch.linalg.vector_norm(g._values() if g.is_sparse else g))) for g in gradients)
    if not found.item():
        return True
    found.zero_()
    return False


@cache
def _found_and_one(device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.zeros((), device=device), torch.ones((), device=device)
