"""Losses of values.

Symbols: B batch, O outputs.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.losses.widen import widened

__all__ = ["MAE", "MSE", "SmoothL1"]


class MSE(nn.Module):
    """Mean squared error: (B, O), (B, O) -> shape ()."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over samples and outputs."""
        return F.mse_loss(widened(outputs), targets)


class MAE(nn.Module):
    """Mean absolute error: (B, O), (B, O) -> shape ()."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over samples and outputs."""
        return F.l1_loss(widened(outputs), targets)


class SmoothL1(nn.Module):
    """Quadratic below `beta`, linear above it: (B, O), (B, O) -> shape () (Girshick 2015)."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over samples and outputs."""
        return F.smooth_l1_loss(widened(outputs), targets, beta=self.beta)
