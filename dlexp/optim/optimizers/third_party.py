"""Optimizers of pytorch_optimizer, and optimizers of torch that need an adapter.

conf/optim refers to the other optimizers in torch.optim directly. Every factory takes the parameter groups of `groups`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from dlexp.optim.optimizers.combined import CombinedOptimizer
from dlexp.optim.traits import OptimizerTraits

__all__ = ["lamb", "lbfgs", "lion", "muon", "schedule_free_adamw"]

Groups = list[dict[str, Any]]


class LBFGS(torch.optim.LBFGS):
    """torch's L-BFGS, which declares that `step` takes a function that computes loss and gradient again."""

    traits = OptimizerTraits(needs_closure=True, has_line_search=True)


def lbfgs(
    *,
    params: Groups,
    lr: float = 1.0,
    max_iter: int = 4,
    history_size: int = 10,
    line_search: bool = True,
    tolerance_grad: float = 1e-7,
    tolerance_change: float = 1e-9,
) -> Optimizer:
    """Limited-memory BFGS (Liu & Nocedal 1989).

    Args:
        params: Parameter groups, all with the same learning rate and without weight decay.
        lr: Length of a step without line search, as a factor of the direction.
        max_iter: Iterations of an update.
        history_size: Number of past changes from which the curvature is estimated.
        line_search: Whether the length of a step satisfies the strong Wolfe conditions.
        tolerance_grad: Largest entry of the gradient at which an update ends.
        tolerance_change: Change of loss or parameters at which an update ends.

    Raises ValueError for groups with their own rate or weight decay.
    """
    if any("lr" in group for group in params):
        raise ValueError(
            "lbfgs requires one learning rate for all parameters. Remove optim.groups and optim.layer_decay."
        )
    if any(group.get("weight_decay") for group in params):
        raise ValueError("weight decay is not supported with lbfgs. Use regularization.l2, a penalty in the loss.")
    return LBFGS(
        [parameter for group in params for parameter in group["params"]],
        lr=lr,
        max_iter=max_iter,
        history_size=history_size,
        tolerance_grad=tolerance_grad,
        tolerance_change=tolerance_change,
        line_search_fn="strong_wolfe" if line_search else None,
    )


def muon(
    *,
    params: Groups,
    hidden_matrices: Sequence[nn.Parameter],
    lr: float = 2e-3,
    weight_decay: float = 0.01,
    momentum: float = 0.95,
    nesterov: bool = True,
    ns_steps: int = 5,
    adjust_lr: str = "match_rms_adamw",
    adamw_lr_factor: float = 1.0,
    adamw_betas: Sequence[float] = (0.9, 0.999),
) -> Optimizer:
    """Muon (Jordan et al. 2024) for hidden matrices, AdamW for all other parameters.

    The momentum of a matrix is orthogonalized by `ns_steps` Newton-Schulz iterations before it is applied.

    Args:
        params: Parameter groups.
        hidden_matrices: Parameters that Muon updates.
        lr: Learning rate.
        weight_decay: Decoupled weight decay.
        momentum: Momentum of Muon.
        nesterov: Whether Muon uses Nesterov momentum.
        ns_steps: Newton-Schulz iterations.
        adjust_lr: Factor of the step of a matrix (m, n): match_rms_adamw, 0.2 sqrt(max(m, n)), so that a learning rate
            of AdamW suits both (Liu et al. 2025, arXiv:2502.16982); original, sqrt(max(1, m / n)).
        adamw_lr_factor: Learning rate of AdamW as a factor of `lr`.
        adamw_betas: Decay rates of AdamW.

    Raises ValueError for a model without a hidden matrix.
    """
    chosen = {id(parameter) for parameter in hidden_matrices}
    hidden = _only(params, lambda parameter: id(parameter) in chosen)
    rest = _only(params, lambda parameter: id(parameter) not in chosen)
    if not hidden:
        raise ValueError(
            "muon requires hidden matrices, which this model does not have (embeddings, the last layer, convolutions "
            "and vectors do not count). Use optim=adamw"
        )
    for group in rest:
        group["lr"] = group.get("lr", lr) * adamw_lr_factor
    parts: list[Optimizer] = [
        torch.optim.Muon(
            hidden,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_steps=ns_steps,
            adjust_lr_fn=adjust_lr,
        )
    ]
    if rest:
        betas = (adamw_betas[0], adamw_betas[1])
        parts.append(torch.optim.AdamW(rest, lr=lr, betas=betas, weight_decay=weight_decay, fused=True))
    return CombinedOptimizer(parts)


def lamb(
    *,
    params: Groups,
    lr: float = 0.01,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
) -> Optimizer:
    """LAMB (You et al. 2020, arXiv:1904.00962): the direction of Adam, scaled to the norm of each tensor.

    With u = m / (sqrt(v) + eps) + weight_decay w, a tensor changes by lr min(|w|, 10) u / |u|. The bias corrections of
    Adam would cancel in this ratio and are omitted, as in version 3 of the paper.
    """
    from pytorch_optimizer import Lamb

    found: Optimizer = Lamb(
        params,
        lr=lr,
        betas=(betas[0], betas[1]),
        eps=eps,
        weight_decay=weight_decay,
        weight_decouple=False,  # inside the ratio, as in the paper
        adam_debias=True,  # otherwise the library divides the whole step by 1 - beta1^t: ten times lr at first
    )
    return found


def lion(
    *,
    params: Groups,
    lr: float = 3e-4,
    betas: Sequence[float] = (0.9, 0.99),
    weight_decay: float = 0.1,
) -> Optimizer:
    """Lion (Chen et al. 2023, arXiv:2302.06675): the sign of an interpolated momentum.

    w -= lr (sign(beta1 m + (1 - beta1) g) + weight_decay w), then m = beta2 m + (1 - beta2) g. Every weight changes by
    lr, so that the learning rate is 3 to 10 times smaller than that of AdamW, and the weight decay as much larger.
    """
    from pytorch_optimizer import Lion

    found: Optimizer = Lion(params, lr=lr, betas=(betas[0], betas[1]), weight_decay=weight_decay)
    return found


def schedule_free_adamw(
    *,
    params: Groups,
    lr: float = 5e-3,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    r: float = 0.0,
    weight_lr_power: float = 2.0,
) -> Optimizer:
    """Schedule-free AdamW (Defazio et al. 2024, arXiv:2405.15682): an average of the weights instead of a schedule.

    Gradients are computed at y = (1 - beta1) z + beta1 x, where AdamW updates z, and x is the average of z. The network
    has the weights y in training, and x (after `eval()`) in evaluation and checkpoints.

    Args:
        params: Parameter groups.
        lr: Learning rate.
        betas: Interpolation beta1, and decay rate of the second moment.
        eps: Added to the denominator.
        weight_decay: Decoupled weight decay.
        r: Exponent of the number of an update in its weight in the average.
        weight_lr_power: Exponent of the largest learning rate so far in that weight; a warm-up then counts little.
    """
    from pytorch_optimizer import ScheduleFreeAdamW

    found: Optimizer = ScheduleFreeAdamW(
        params,
        lr=lr,
        betas=(betas[0], betas[1]),
        eps=eps,
        weight_decay=weight_decay,
        r=r,
        weight_lr_power=weight_lr_power,
    )
    return found


def _only(groups: Groups, wanted: Callable[[nn.Parameter], bool]) -> Groups:
    """Return the groups with the wanted parameters only, without empty groups."""
    found = [{**group, "params": [p for p in group["params"] if wanted(p)]} for group in groups]
    return [group for group in found if group["params"]]
