"""Optimizers that torch lacks, or has in parts: from pytorch_optimizer, or torch's own with additions.

All others are named in conf/optim as torch.optim has them. Every factory takes parameter groups as `groups` makes them.
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
    """Limited-memory BFGS (Liu & Nocedal 1989): a quasi-Newton direction from the last `history_size` changes.

    line_search  whether a step has the length that the strong Wolfe conditions ask for; else it is `lr` of a direction
    Raises ValueError for groups of several rates, of which it can keep none.
    """
    if any("lr" in group for group in params):
        raise ValueError("lbfgs has one learning rate for all parameters; leave out optim.groups and optim.layer_decay")
    if any(group.get("weight_decay") for group in params):
        raise ValueError("lbfgs has no weight decay; regularization.l2 adds the penalty to the loss, where it sees it")
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

    The momentum of a matrix is made nearly orthogonal by `ns_steps` Newton-Schulz iterations before it is applied.

    adjust_lr        how the step of a matrix of m x n depends on its shape: match_rms_adamw, 0.2 sqrt(max(m, n)), so
                     that a rate found for AdamW fits both (Liu et al. 2025, arXiv:2502.16982); original,
                     sqrt(max(1, m / n))
    adamw_lr_factor  AdamW's learning rate as a multiple of `lr`
    Raises ValueError for a model without a hidden matrix.
    """
    chosen = {id(parameter) for parameter in hidden_matrices}
    hidden = _only(params, lambda parameter: id(parameter) in chosen)
    rest = _only(params, lambda parameter: id(parameter) not in chosen)
    if not hidden:
        raise ValueError(
            "muon updates hidden matrices, and this model has none (embeddings, the last layer, convolutions and "
            "vectors are none); choose optim=adamw"
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
    """LAMB (You et al. 2020, arXiv:1904.00962): Adam's direction at a length of |w| for each tensor.

    With u = m / (sqrt(v) + eps) + weight_decay w, a tensor moves by lr min(|w|, 10) u / |u|; Adam's bias corrections
    would cancel in that ratio and are left out, as in the paper's third version.
    """
    from pytorch_optimizer import Lamb

    found: Optimizer = Lamb(
        params,
        lr=lr,
        betas=(betas[0], betas[1]),
        eps=eps,
        weight_decay=weight_decay,
        weight_decouple=False,  # inside the ratio, as in the paper
        adam_debias=True,  # else the library divides the step, ratio and all, by 1 - beta1^t: ten times lr at first
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

    w -= lr (sign(beta1 m + (1 - beta1) g) + weight_decay w), then m = beta2 m + (1 - beta2) g. Every weight
    moves by lr, so the rate is 3 to 10 times smaller than AdamW's and the decay as much larger.
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
    """Schedule-free AdamW (Defazio et al. 2024, arXiv:2405.15682): an average of the weights in place of a schedule.

    Gradients are taken at y = (1 - beta1) z + beta1 x, where z is what AdamW moves and x the average of its places;
    the network holds y while it trains, and x (after `eval()`) when it is evaluated or kept.

    r                exponent of the update's number in the weight of its place in the average
    weight_lr_power  exponent of the largest learning rate so far in it, so that a warm-up counts little
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
    """The groups with those of their parameters that are wanted; a group with none is left out."""
    found = [{**group, "params": [p for p in group["params"] if wanted(p)]} for group in groups]
    return [group for group in found if group["params"]]
