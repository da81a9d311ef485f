"""Losses of a single logit for two classes; a positive logit predicts class 1.

Symbols: B batch, z the logit, y the target probability of class 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.losses.classification import doubt
from dlexp.losses.output_decoding import OneLogit
from dlexp.losses.weighting import ClassLoss, ClassWeights, checked_kind, class_shares, smoothed

__all__ = ["BCE", "BinaryFocal"]


class BCE(ClassLoss):
    """Binary cross entropy on logits, -(pos_weight y log s(z) + (1 - y) log s(-z)), s the sigmoid.

    Logits (B, 1), targets (B,) int64 of 0 and 1, or probabilities (B, 2) -> shape (), nats.

    Args:
        pos_weight: Factor > 0 of class 1; None is 1.
        label_smoothing: Share e in [0, 1) of each target that is distributed over the classes.
        smoothing_kind: uniform: over both classes, y (1 - e) + e / 2; others: to the other one, y (1 - e) + (1 - y) e.
        class_weights: See ClassLoss.
        class_counts: See ClassLoss.

    Raises ValueError for other than two classes, and if both pos_weight and class_weights are given.
    """

    positive: Tensor | None

    def __init__(
        self,
        pos_weight: float | None = None,
        label_smoothing: float = 0.0,
        smoothing_kind: str = "uniform",
        class_weights: ClassWeights = None,
        class_counts: Sequence[int] = (),
    ) -> None:
        if pos_weight is not None and class_weights is not None:
            raise ValueError("pos_weight cannot be combined with class_weights. Use one of the two.")
        super().__init__(OneLogit(), class_weights, class_counts)
        self.label_smoothing, self.smoothing_kind = label_smoothing, checked_kind(smoothing_kind)
        factor = None if pos_weight is None else torch.tensor(float(pos_weight))
        self.register_buffer("positive", factor, persistent=False)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each sample, (B,)."""
        logits = one_logit(outputs)
        wanted = smoothed(class_shares(targets, 2, outputs), self.label_smoothing, self.smoothing_kind)[:, 1]
        factor = None if self.positive is None else self.positive.to(outputs.dtype)
        return F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=factor, reduction="none")


class BinaryFocal(ClassLoss):
    """Focal loss of one logit (Lin et al. 2017): logits (B, 1), targets (B,) int64 or probabilities (B, 2) -> shape ().

    -(alpha y (1 - p)^gamma log p + (1 - alpha) (1 - y) p^gamma log(1 - p)), p the sigmoid of the logit.

    Args:
        gamma: Focusing exponent, >= 0.
        alpha: Weight in [0, 1] of class 1, with 1 - alpha for class 0; or one number for each class; None: 1 for both.
        class_weights: See ClassLoss.
        class_counts: See ClassLoss.

    Raises ValueError for other than two classes, and for an invalid alpha.
    """

    alpha: Tensor

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | None = 0.25,
        class_weights: ClassWeights = None,
        class_counts: Sequence[int] = (),
    ) -> None:
        super().__init__(OneLogit(), class_weights, class_counts)
        self.gamma = gamma
        self.register_buffer("alpha", torch.tensor(_two_factors(alpha)), persistent=False)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each sample, (B,)."""
        logits = one_logit(outputs)
        predicted = F.logsigmoid(torch.stack([-logits, logits], dim=1))
        wanted = class_shares(targets, 2, outputs) * self.alpha.to(outputs.dtype)
        return -(wanted * doubt(predicted, self.gamma) * predicted).sum(dim=1)


def one_logit(outputs: Tensor) -> Tensor:
    """(B, 1) -> (B,). Raises ValueError for another shape."""
    if outputs.ndim != 2 or outputs.shape[1] != 1:
        raise ValueError(f"outputs must have shape (B, 1), one logit for each sample, got {tuple(outputs.shape)}")
    return outputs[:, 0]


def _two_factors(alpha: float | Sequence[float] | None) -> list[float]:
    """Return the factors of class 0 and class 1."""
    if alpha is None:
        return [1.0, 1.0]
    if isinstance(alpha, int | float):
        if not 0 <= alpha <= 1:
            raise ValueError(
                f"alpha={alpha} must be in [0, 1], the weight of class 1. For other weights, set two numbers."
            )
        return [1.0 - alpha, float(alpha)]
    if len(alpha) != 2:
        raise ValueError(f"alpha must have one number for each of the two classes, got {len(alpha)} numbers")
    return [float(a) for a in alpha]
