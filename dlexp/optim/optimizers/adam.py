"""Adam and AdamW of torch, with direct calls of the fused kernel in the common case.

At every step, torch collects the tensors into lists, groups them by device and dtype, and marks the step for profilers.
For small networks this takes longer than the kernel. Here the lists are cached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from dlexp.runtime.compiler import without_graph_breaks

__all__ = ["adam", "adamw"]


def adam(
    *,
    params: list[dict[str, Any]],
    lr: float = 1e-3,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    fused: bool = True,
) -> Optimizer:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980); weight decay is an L2 term of the gradient."""
    rates = float(betas[0]), float(betas[1])  # torch refuses [0, 0.9], in which one is an integer
    return Adam(params, lr=lr, betas=rates, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, fused=fused)


def adamw(
    *,
    params: list[dict[str, Any]],
    lr: float = 2e-3,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    amsgrad: bool = False,
    fused: bool = True,
) -> Optimizer:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101): Adam with decoupled weight decay."""
    rates = float(betas[0]), float(betas[1])  # torch refuses [0, 0.9], in which one is an integer
    return AdamW(params, lr=lr, betas=rates, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, fused=fused)


@dataclass(frozen=True)
class _Group:
    """Arguments of the kernel for a parameter group; all tensors have the same device and dtype.

    Attributes:
        options: The parameter group.
        weights: Its parameters.
        first: First moment of each parameter.
        second: Second moment of each parameter.
        steps: Number of updates of each parameter, views of `counts`.
        counts: Number of updates of all parameters in one tensor, so that counting is a single addition.
    """

    options: dict[str, Any]
    weights: list[Tensor]
    first: list[Tensor]
    second: list[Tensor]
    steps: list[Tensor]
    counts: Tensor


class _Direct(Optimizer):
    """Mixin whose step calls the kernel directly, with the same state and bitwise the same results.

    The cached lists are valid as long as groups and state are the same objects. Every way to replace them goes through
    a method that clears the cache: adding a group, loading a state, and copying or unpickling.
    """

    _kept: list[_Group] | None = None
    _kernel: Callable[..., object]
    _usual: Callable[..., Any]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group, as in torch."""
        self._kept = None
        super().add_param_group(param_group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._kept = None
        super().__setstate__(state)

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make an update; the kernel is called directly without closure, hooks or gradient scaler."""
        kept = self._kept
        if kept is None or closure is not None or self._is_watched():
            return self._step_as_usual(closure)
        gradients = [[weight.grad for weight in group.options["params"]] for group in kept]
        if any(gradient is None for part in gradients for gradient in part):
            return self._step_as_usual(closure)
        for group, part in zip(kept, gradients, strict=True):
            options = group.options
            beta1, beta2 = options["betas"]
            group.counts.add_(1)
            self._kernel(
                group.weights,
                part,
                group.first,
                group.second,
                [],
                group.steps,
                lr=options["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=options["weight_decay"],
                eps=options["eps"],
                amsgrad=False,
                maximize=options["maximize"],
            )
        return None

    step.hooked = True  # type: ignore[attr-defined]  # keeps torch from wrapping it in profiler marks; with hooks, `_usual` runs

    def prepared(self) -> list[tuple[_Group, list[Tensor]]] | None:
        """The groups with their gradients, where the kernel can be called directly."""
        if self._kept is None or self._is_watched():
            return None
        found = [(group, [weight.grad for weight in group.options["params"]]) for group in self._kept]
        return None if any(gradient is None for _, part in found for gradient in part) else found

    def _is_watched(self) -> bool:
        hooks = self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks
        return bool(hooks) or getattr(self, "found_inf", None) is not None

    def _step_as_usual(self, closure: Callable[[], float] | None) -> Any:
        found = self._usual(self, closure)
        self._kept = self._lists()
        return found

    def _lists(self) -> list[_Group] | None:
        """Return the lists, None if torch's own step is required: not fused, amsgrad, tensor options, mixed tensors."""
        found = []
        for group in self.param_groups:
            parameters = group["params"]
            if not group["fused"] or group["amsgrad"] or group["differentiable"] or isinstance(group["lr"], Tensor):
                return None
            if any(isinstance(beta, Tensor) for beta in group["betas"]):
                return None
            if len({(p.device, p.dtype) for p in parameters}) > 1 or any(
                _unusual(p, self.state.get(p)) for p in parameters
            ):
                return None
            states = [self.state[parameter] for parameter in parameters]
            first, second, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
            counts = torch.stack(steps)
            steps = list(counts.unbind())
            for state, count in zip(states, steps, strict=True):
                state["step"] = count
            weights = [parameter.detach() for parameter in parameters]
            found.append(_Group(group, weights, first, second, steps, counts))
        return found


def step_together(optimizers: Sequence[Optimizer]) -> Iterator[int]:
    """Make a step of each of several optimizers, with bitwise the results of `step`; the position of each that is done.

    The kernel is called once for all parameters that are updated by the same numbers, whosever they are; optimizers
    that are not Adam or AdamW step by themselves.
    """
    together: dict[tuple[Any, ...], list[tuple[_Group, list[Tensor]]]] = {}  # what a call has in common -> its groups
    owners: dict[tuple[Any, ...], list[int]] = {}  # of those groups
    left: Counter[int] = Counter()
    for position, optimizer in enumerate(optimizers):
        prepared = optimizer.prepared() if isinstance(optimizer, _Direct) else None
        if prepared is None:
            optimizer.step()
            yield position
            continue
        left[position] = len(prepared)
        for group, gradients in prepared:
            options = group.options
            numbers = (options["lr"], *options["betas"], options["weight_decay"], options["eps"], options["maximize"])
            key = (type(optimizer), group.counts.device, group.counts.dtype, group.weights[0].dtype, *numbers)
            together.setdefault(key, []).append((group, gradients))
            owners.setdefault(key, []).append(position)
    yield from (position for position, groups in left.items() if not groups)
    for key, parts in together.items():
        _call(key[0]._kernel, key[4:], parts)
        for position in owners[key]:
            left[position] -= 1
            if not left[position]:
                yield position


def _call(kernel: Callable[..., object], numbers: Sequence[Any], parts: Sequence[tuple[_Group, list[Tensor]]]) -> None:
    """Call a kernel for some groups. numbers: lr, beta1, beta2, weight_decay, eps, maximize."""
    lr, beta1, beta2, weight_decay, eps, maximize = numbers
    torch._foreach_add_([group.counts for group, _ in parts], 1)
    kernel(
        [weight for group, _ in parts for weight in group.weights],
        [gradient for _, gradients in parts for gradient in gradients],
        [moment for group, _ in parts for moment in group.first],
        [moment for group, _ in parts for moment in group.second],
        [],
        [count for group, _ in parts for count in group.steps],
        lr=lr,
        beta1=beta1,
        beta2=beta2,
        weight_decay=weight_decay,
        eps=eps,
        amsgrad=False,
        maximize=maximize,
    )


def _unusual(parameter: Tensor, state: dict[str, Any] | None) -> bool:
    gradient = parameter.grad
    return (
        not state
        or gradient is None
        or gradient.layout != torch.strided
        or gradient.dtype != parameter.dtype
        or parameter.is_complex()
    )


def _usual(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return torch's step with its profiler marks and hooks."""
    return Optimizer.profile_hook_step(without_graph_breaks(step))


class Adam(_Direct, torch.optim.Adam):
    """Adam of torch."""

    _kernel = staticmethod(torch._fused_adam_)
    _usual = staticmethod(_usual(torch.optim.Adam.step))


class AdamW(_Direct, torch.optim.AdamW):
    """AdamW of torch."""

    _kernel = staticmethod(torch._fused_adamw_)
    _usual = staticmethod(_usual(torch.optim.AdamW.step))
