"""The update of an optimizer that evaluates loss and gradient several times, such as L-BFGS with its line search."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dlexp.runtime.tensors import snapshot


def step_with_closure(
    optimizer: Optimizer, networks: nn.ModuleDict, loss: float, recompute: Callable[[], float], check: bool
) -> bool:
    """`optimizer.step` from the present gradient of `loss`; `recompute` evaluates both at the present weights.

    Running statistics stay as the first pass left them: further passes over micro batches add no samples. A loss that
    is NaN is infinite to a line search, which then turns back; NaN compares as larger than nothing.
    Returns False, with weights and optimizer as they were, when `check` finds a weight or the last loss not finite.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kept = [parameter.detach().clone() for parameter in parameters] if check else []
    memory = snapshot(optimizer.state_dict()) if check else {}
    buffers = list(networks.buffers())
    seen = [buffer.clone() for buffer in buffers]
    losses: list[float] = []

    def closure() -> float:
        found = recompute() if losses else loss
        losses.append(found if isfinite(found) else inf)
        return losses[-1]

    optimizer.step(closure)
    with torch.no_grad():
        if buffers:
            torch._foreach_copy_(buffers, seen)
        if not check or (isfinite(losses[-1]) and _finite(parameters)):
            return True
        torch._foreach_copy_(parameters, kept)
    optimizer.load_state_dict(memory)
    return False


def _finite(parameters: list[Tensor]) -> bool:
    return bool(torch.isfinite(torch.stack(torch._foreach_norm(parameters)).sum()))
