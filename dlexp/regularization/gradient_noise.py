"""Noise on gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.optim import Optimizer

__all__ = ["GradientNoise"]

_GAMMA = 0.55  # how fast the noise dies down, as in the paper


@dataclass(frozen=True)
class GradientNoise:
    """Gaussian noise of variance eta / (1 + t)^0.55 on every number of a gradient, t updates after the first.

    It helps early on, where it shakes the weights out of poor places, and dies down (Neelakantan et al. 2015,
    arXiv:1511.06807, with eta of 0.01, 0.3 or 1).
    """

    eta: float

    def deviation(self, step: int) -> float:
        """Standard deviation of the noise after `step` updates."""
        return float((self.eta / (1 + step) ** _GAMMA) ** 0.5)

    def __call__(self, optimizer: Optimizer, step: int) -> None:
        """Add noise to the gradients in place; draws from torch's own generators."""
        deviation = self.deviation(step)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.add_(torch.randn_like(parameter.grad), alpha=deviation)
