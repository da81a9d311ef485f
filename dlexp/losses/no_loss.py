"""The absence of a loss, for tasks that compute their own."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["NoLoss"]


class NoLoss(nn.Module):
    """Computes nothing: `loss=none` is for a task whose `loss` needs no criterion."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Raises ValueError: the task uses a loss."""
        raise ValueError("this task uses a loss, and loss=none computes nothing. Set loss=NAME.")
