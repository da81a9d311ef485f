"""Losses of generators and discriminators, and penalties on the gradient of a discriminator.

Sources: non_saturating: Goodfellow et al. 2014, arXiv:1406.2661; wasserstein: Arjovsky et al. 2017, arXiv:1701.07875;
least_squares: Mao et al. 2017, arXiv:1611.04076; hinge: Lim and Ye 2017, arXiv:1705.02894; label smoothing on one side:
Salimans et al. 2016, arXiv:1606.03498; gradient penalty: Gulrajani et al. 2017, arXiv:1704.00028; R1: Mescheder et al.
2018, arXiv:1801.04406.

Symbols: B samples in a batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

OBJECTIVES = ("non_saturating", "wasserstein", "least_squares", "hinge")


def discriminator_losses(objective: str, real: Tensor, fake: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """The two summands of a discriminator's loss, (B,) each: of data and of samples.

    Args:
        objective: non_saturating (its sum is -log D(real) - log(1 - D(fake)), of logits), wasserstein, least_squares or
            hinge.
        real: Scores of data (B,).
        fake: Scores of samples (B,).
        smoothing: The target of data is 1 - smoothing; for non_saturating and least_squares.

    Raises ValueError for an unknown objective.
    """
    if objective == "non_saturating":
        return (1 - smoothing) * F.softplus(-real) + smoothing * F.softplus(real), F.softplus(fake)
    if objective == "wasserstein":
        return -real, fake
    if objective == "least_squares":
        return 0.5 * (real - (1 - smoothing)).square(), 0.5 * fake.square()
    if objective == "hinge":
        return F.relu(1 - real), F.relu(1 + fake)
    raise ValueError(f"unknown objective={objective!r}; available: {', '.join(OBJECTIVES)}")


def generator_losses(objective: str, fake: Tensor) -> Tensor:
    """The loss of each sample (B,) by its score (B,): -log D(fake) of logits, 0.5 (D(fake) - 1)^2, or -D(fake)."""
    if objective == "non_saturating":
        return F.softplus(-fake)
    return 0.5 * (fake - 1).square() if objective == "least_squares" else -fake


def points_between(real: Tensor, fake: Tensor) -> Tensor:
    """A random point (B, *shape) on the line between each datum and its sample, by torch's generator."""
    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
    return torch.lerp(real, fake.to(real.dtype), share)


def gradient_norms(score: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Euclidean norms (B,) of the gradient of `score`, (B, *shape) -> (B,), at `points`; they can be differentiated."""
    with torch.enable_grad():
        given = points.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(score(given).sum(), given, create_graph=True)
        norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return norms
