"""Optimizers that wrap another one: SAM and Lookahead.

Both wrap SGD or AdamW (`base`); `momentum` is that of SGD, or beta1 of AdamW. Their settings are in the parameter
groups, their state in that of the wrapped optimizer, so that copies and checkpoints contain everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from dlexp.optim.optimizers.combined import PartedOptimizer
from dlexp.optim.optimizers.sgd import sgd
from dlexp.optim.traits import OptimizerTraits

__all__ = ["lookahead", "sam"]

Groups = list[dict[str, Any]]
_LEAST_NORM = 1e-12  # avoids division by the norm of a zero gradient
_BETA2 = 0.999


def sam(
    *,
    params: Groups,
    base: str = "sgd",
    radius: float = 0.05,
    adaptive: bool = False,
    lr: float = 0.05,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
) -> Optimizer:
    """Sharpness-aware minimization (Foret et al. 2021, arXiv:2010.01412): `base` with the gradient at w + e.

    e = radius g / |g| for the gradient g at w, with |g| over all weights. With `adaptive` (Kwon et al. 2021,
    arXiv:2102.11600), e = radius w^2 g / | |w| g |, which is invariant to rescaling of a layer and requires a radius
    about ten times larger. Both gradients use the same samples and the same dropout; an update costs two gradients.
    """
    return Sam(_base(base, params, lr, momentum, weight_decay), radius, adaptive)


def lookahead(
    *,
    params: Groups,
    base: str = "adamw",
    sync_every: int = 6,
    slow_step: float = 0.5,
    lr: float = 4e-3,
    momentum: float = 0.9,
    weight_decay: float = 0.01,
) -> Optimizer:
    """Lookahead (Zhang et al. 2019, arXiv:1907.08610): slow weights that follow the fast weights of `base`.

    After every `sync_every` updates of `base`, the slow weights move by `slow_step` times the difference towards the
    fast weights, which are then set to them. Evaluation and checkpoints use the slow weights (after `eval()`). The
    momentum of `base` does not change.
    """
    return Lookahead(_base(base, params, lr, momentum, weight_decay), sync_every, slow_step)


class Sam(PartedOptimizer):
    """Sharpness-aware minimization; see `sam`."""

    traits = OptimizerTraits(needs_closure=True)

    def __init__(self, base: Optimizer, radius: float, adaptive: bool) -> None:
        super().__init__([base])
        for group in self.param_groups:
            group |= {"radius": radius, "adaptive": adaptive}

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make an update; `closure` computes gradients and returns the loss. Raises TypeError without it."""
        if closure is None:
            raise TypeError("sam requires step(closure), which computes the gradient twice")
        loss = closure()
        with torch.no_grad():
            weights = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
            kept = [p.clone() for p in weights]
            if weights:
                torch._foreach_add_(weights, self._climb())
        closure()
        with torch.no_grad():
            if weights:
                torch._foreach_copy_(weights, kept)
        self.parts[0].step()
        return loss

    def _climb(self) -> list[Tensor]:
        """Return e of every weight that has a gradient."""
        found: list[Tensor] = []
        lengths: list[Tensor] = []
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    scaled = p.abs() * p.grad if group["adaptive"] else p.grad
                    lengths.append(torch.linalg.vector_norm(scaled))
                    found.append(group["radius"] * (p.abs() * scaled if group["adaptive"] else scaled))
        norm = torch.linalg.vector_norm(torch.stack(lengths)).clamp_min(_LEAST_NORM)
        return [step / norm for step in found]


class Lookahead(PartedOptimizer):
    """Lookahead; see `lookahead`."""

    traits = OptimizerTraits(keeps_average=True)

    def __init__(self, base: Optimizer, sync_every: int, slow_step: float) -> None:
        super().__init__([base])
        for group in self.param_groups:
            group |= {"sync_every": sync_every, "slow_step": slow_step, "updates": 0}

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make an update of the fast weights, and of the slow ones when due. Raises TypeError for a closure."""
        if closure is not None:
            raise TypeError("lookahead does not support a closure")
        (base,) = self.parts
        learning = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        begin = {p: p.detach().clone() for p in learning if "slow" not in base.state.get(p, {})}
        base.step()  # first: it treats a parameter with a state as one that it has updated before
        for p, value in begin.items():
            base.state[p]["slow"] = value
        with torch.no_grad():
            for group in self.param_groups:
                group["updates"] += 1
                if isinstance(group["updates"], Tensor):  # in a graph, which has no branches
                    self._sync_if(group["updates"] % group["sync_every"] == 0, group)
                elif group["updates"] % group["sync_every"] == 0 and (fast := self._with("slow", group)):
                    slow = [base.state[p]["slow"] for p in fast]
                    torch._foreach_lerp_(slow, fast, group["slow_step"])
                    torch._foreach_copy_(fast, slow)
        return None

    def _sync_if(self, due: Tensor, group: dict[str, Any]) -> None:
        """The update of the slow weights where `due`, shape () bool, is true."""
        for fast in self._with("slow", group):
            slow = self.parts[0].state[fast]["slow"]
            moved = slow.lerp(fast, group["slow_step"])
            slow.copy_(torch.where(due, moved, slow))
            fast.copy_(torch.where(due, moved, fast))

    def eval(self) -> None:
        """Set the slow weights in the network, until `train`."""
        with torch.no_grad():
            for group in self.param_groups:
                for p in self._with("slow", group):
                    state = self.parts[0].state[p]
                    state["fast"] = p.clone()
                    p.copy_(state["slow"])

    def train(self) -> None:
        """Restore the fast weights."""
        with torch.no_grad():
            for group in self.param_groups:
                for p in self._with("fast", group):
                    p.copy_(self.parts[0].state[p].pop("fast"))

    def _with(self, key: str, group: dict[str, Any]) -> list[Tensor]:
        return [p for p in group["params"] if key in self.parts[0].state.get(p, {})]


def _base(name: str, params: Groups, lr: float, momentum: float, weight_decay: float) -> Optimizer:
    if name == "sgd":
        return sgd(params=params, lr=lr, momentum=momentum, weight_decay=weight_decay)
    if name == "adamw":
        return torch.optim.AdamW(params, lr=lr, betas=(momentum, _BETA2), weight_decay=weight_decay, fused=True)
    raise ValueError(f"unknown optim.base={name!r}; available: sgd, adamw")
