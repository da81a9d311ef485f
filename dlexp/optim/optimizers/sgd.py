"""SGD of torch, with weights that begin to learn later than others."""

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
    """Stochastic gradient descent: v = momentum v + (1 - dampening) g, w -= lr v; Nesterov's looks ahead by momentum v.

    A weight's first gradient is its first v, whole. Raises ValueError for nesterov without momentum or with dampening.
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
    """torch's, whose fused kernel refuses a group in which some weights have a momentum and others have none yet."""

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """As torch's; weights that thawed are updated apart from those of their group that learned before."""
        whole = self.param_groups
        self.param_groups = [part for group in whole for part in self._parts(group)]
        try:
            return super().step(closure)
        finally:
            self.param_groups = whole

    def _parts(self, group: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The group, or those of its weights that have a momentum and those that have none."""
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
