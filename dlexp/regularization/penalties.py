"""Penalties on the weights, which are added to the training loss and not to the validation loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Penalty"]


@dataclass(frozen=True)
class Penalty:
    """l1 * sum(|w|) + l2 * sum(w^2) over some weights.

    In contrast to decoupled weight decay, the gradient of the penalty is scaled by adaptive optimizers.

    Attributes:
        l1: Factor of the L1 penalty.
        l2: Factor of the L2 penalty.
    """

    l1: float
    l2: float

    def __bool__(self) -> bool:
        return bool(self.l1 or self.l2)

    def __call__(self, weights: list[nn.Parameter]) -> Tensor:
        """Return the penalty, shape ()."""
        if not weights:  # a network with only normalization layers and biases
            return torch.zeros(())
        total = torch.zeros((), device=weights[0].device)
        if self.l1:
            total = total + self.l1 * torch.stack([w.abs().sum() for w in weights]).sum()
        if self.l2:
            total = total + self.l2 * torch.stack([w.square().sum() for w in weights]).sum()
        return total
