"""The update rules that are written in NumPy, as optimizers of torch: their state is in the checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from dlexp.scratch.optimizers import (
    AdagradRule,
    AdamRule,
    MomentumRule,
    NesterovRule,
    RmspropRule,
    SgdRule,
    UpdateRule,
)

__all__ = ["numpy_adagrad", "numpy_adam", "numpy_momentum", "numpy_nesterov", "numpy_rmsprop", "numpy_sgd"]

_Groups = list[dict[str, Any]]


def numpy_sgd(*, params: _Groups, lr: float = 0.05, weight_decay: float = 0.0) -> Optimizer:
    """Gradient descent in NumPy; see SgdRule."""
    return NumpyOptimizer(params, SgdRule, {"lr": lr, "weight_decay": weight_decay})


def numpy_momentum(*, params: _Groups, lr: float = 0.05, momentum: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """Gradient descent with momentum in NumPy; see MomentumRule."""
    return NumpyOptimizer(params, MomentumRule, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})


def numpy_nesterov(*, params: _Groups, lr: float = 0.05, momentum: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """Gradient descent with Nesterov momentum in NumPy; see NesterovRule."""
    return NumpyOptimizer(params, NesterovRule, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})


def numpy_adagrad(*, params: _Groups, lr: float = 0.01, eps: float = 1e-10, weight_decay: float = 0.0) -> Optimizer:
    """Adagrad in NumPy; see AdagradRule."""
    return NumpyOptimizer(params, AdagradRule, {"lr": lr, "eps": eps, "weight_decay": weight_decay})


def numpy_rmsprop(
    *, params: _Groups, lr: float = 1e-3, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0
) -> Optimizer:
    """RMSprop in NumPy; see RmspropRule."""
    return NumpyOptimizer(params, RmspropRule, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay})


def numpy_adam(
    *,
    params: _Groups,
    lr: float = 1e-3,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adam in NumPy; see AdamRule."""
    return NumpyOptimizer(params, AdamRule, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})


class NumpyOptimizer(Optimizer):
    """An update rule that changes parameters and state, tensors on the CPU, in their own memory.

    Args:
        params: Parameter groups.
        rule: The rule; its arguments are the keys of a group.
        defaults: The arguments of groups that do not have them.

    Raises ValueError for a parameter that is not on the CPU.
    """

    def __init__(self, params: _Groups, rule: type[UpdateRule], defaults: dict[str, Any]) -> None:
        self._rule, self._arguments = rule, tuple(defaults)
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group. Raises ValueError for a parameter that is not on the CPU."""
        super().add_param_group(param_group)
        for parameter in self.param_groups[-1]["params"]:
            if parameter.device.type != "cpu":
                rule = f"an optimizer in NumPy requires weights on the CPU, got {parameter.device}"
                raise ValueError(f"{rule}. Set trainer.device=cpu")

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_rule": self._rule, "_arguments": self._arguments}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make an update of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rule: Any = self._rule
            made: UpdateRule = rule(**{name: group[name] for name in self._arguments})
            changed = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter in changed:
                w, g = parameter.detach().numpy(), parameter.grad.numpy()
                if parameter not in self.state:
                    self.state[parameter] = {name: torch.from_numpy(array) for name, array in made.begin(w).items()}
                made.update(w, g, {name: tensor.numpy() for name, tensor in self.state[parameter].items()})
            torch.autograd.graph.increment_version(changed)  # torch does not see what NumPy writes
        return loss
