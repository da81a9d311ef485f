"""Penalties on the weights, added to the loss of a step and to nothing that is logged as validation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Penalty"]


@dataclass(frozen=True)
class Penalty:
    """l1 * sum(|w|) + l2 * sum(w^2) over some weights.

    Not weight decay: the penalty goes through the gradient, and with it through an adaptive optimizer's scaling.
    """

    l1: float
    l2: float

    def __bool__(self) -> bool:
        return bool(self.l1 or self.l2)

    def __call__(self, weights: list[nn.Parameter]) -> Tensor:
        """Shape ()."""
        if not weights:  # a network of norms and biases alone
            return torch.zeros(())
        total = torch.zeros((), device=weights[0].device)
        if self.l1:
            total = total + self.l1 * torch.stack([w.abs().sum() for w in weights]).sum()
        if self.l2:
            total = total + self.l2 * torch.stack([w.square().sum() for w in weights]).sum()
        return total
