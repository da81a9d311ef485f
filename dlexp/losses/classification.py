"""Losses of class scores.

Symbols: B batch, C classes.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.losses.widen import widened

__all__ = ["CrossEntropy"]


class CrossEntropy(nn.Module):
    """Softmax cross entropy: logits (B, C), targets (B,) int64 -> shape (), the mean over the batch.

    label_smoothing  share in [0, 1) of each target spread evenly over all C classes (Szegedy et al. 2016)
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss, in nats."""
        return F.cross_entropy(widened(outputs), targets, label_smoothing=self.label_smoothing)
