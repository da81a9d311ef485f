"""Noise on gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.optim import Optimizer

__all__ = ["GradientNoise"]

_GAMMA = 0.55  # decay exponent of the variance, as in the paper


@dataclass(frozen=True)
class GradientNoise:
    """Gaussian noise of variance eta / (1 + t)^0.55 on every entry of a gradient, t updates after the first.

    It helps early in training and decays (Neelakantan et al. 2015, arXiv:1511.06807, with eta of 0.01, 0.3 or 1).

    Attributes:
        eta: Variance in the first update.
    """

    eta: float

    def deviation(self, step: int) -> float:
        """Return the standard deviation of the noise after `step` updates."""
        return float((self.eta / (1 + step) ** _GAMMA) ** 0.5)

    def __call__(self, optimizer: Optimizer, step: int) -> None:
        """Add noise to the gradients in place; draws from the global generators of torch."""
        deviation = self.deviation(step)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.add_(torch.randn_like(parameter.grad), alpha=deviation)
