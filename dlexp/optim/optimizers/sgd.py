"""SGD of torch, with support for weights that are unfrozen during training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.optim import Optimizer

__all__ = ["sgd"]


def sgd(
    *,
    params: list[dict[str, Any]],
    lr: float = 0.05,
    momentum: float = 0.9,
    nesterov: bool = False,
    dampening: float = 0.0,
    weight_decay: float = 1e-4,
    fused: bool = True,
) -> Optimizer:
    """Stochastic gradient descent: v = momentum v + (1 - dampening) g, w -= lr v; initially v = g.

    With nesterov, w -= lr (g + momentum v). Raises ValueError for nesterov without momentum or with dampening.
    """
    return SGD(
        params,
        lr=lr,
        momentum=momentum,
        nesterov=nesterov,
        dampening=dampening,
        weight_decay=weight_decay,
        fused=fused,
    )


class SGD(torch.optim.SGD):
    """SGD of torch, also fused when some weights of a group have no momentum buffer yet."""

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make an update; newly unfrozen weights are updated separately from the others of their group."""
        whole = self.param_groups
        self.param_groups = [part for group in whole for part in self._parts(group)]
        try:
            return super().step(closure)
        finally:
            self.param_groups = whole

    def _parts(self, group: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the group, or separate groups of weights with and without a momentum buffer."""
        if not group["fused"] or not group["momentum"]:
            yield group
            return
        begun = [parameter for parameter in group["params"] if "momentum_buffer" in self.state.get(parameter, {})]
        if len(begun) in (0, len(group["params"])):
            yield group
            return
        known = set(map(id, begun))
        yield group | {"params": begun}
        yield group | {"params": [parameter for parameter in group["params"] if id(parameter) not in known]}
