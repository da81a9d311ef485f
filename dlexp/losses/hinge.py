"""Hinge losses: margins between scores that are not probabilities.

Symbols: B batch, C classes, s the scores, y the class.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from dlexp.losses.output_decoding import Margins
from dlexp.losses.weighting import ClassLoss, ClassWeights

__all__ = ["Hinge", "MultiMargin", "PerceptronCriterion"]


class _MarginLoss(ClassLoss, ABC):
    """A loss of scores that has a margin and a power."""

    one_for_two: ClassVar[bool]  # two classes have one score

    def __init__(
        self,
        margin: float = 1.0,
        power: int = 1,
        class_weights: ClassWeights = None,
        class_counts: Sequence[int] = (),
    ) -> None:
        super().__init__(Margins(one_for_two=self.one_for_two), class_weights, class_counts)
        self.margin, self.power = margin, power


class Hinge(_MarginLoss):
    """Hinge loss of support vector machines: scores (B, 1) or (B, C), targets (B,) int64 -> shape ().

    Two classes have one score, scores (B, 1): max(0, margin - s) for class 1, max(0, margin + s) for class 0.
    Otherwise, scores (B, C): max(0, margin + max over the other classes - s_y) (Crammer and Singer 2001).

    Args:
        margin: > 0.
        power: 1, or 2 for the squared hinge loss.
        class_weights: See ClassLoss.
        class_counts: See ClassLoss.
    """

    one_for_two = True

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each sample, (B,)."""
        if outputs.shape[1] == 1:
            lead = outputs[:, 0] * (2 * targets - 1)
        else:
            own = F.one_hot(targets, outputs.shape[1]).bool()
            others = outputs.masked_fill(own, float("-inf")).amax(dim=1)
            lead = outputs.gather(1, targets[:, None])[:, 0] - others
        return (self.margin - lead).clamp_min(0) ** self.power


class MultiMargin(_MarginLoss):
    """Multi-class hinge loss, sum over c != y of max(0, margin - s_y + s_c)^power / C (Weston, Watkins 1999).

    Scores (B, C), targets (B,) int64 -> shape (); multi_margin_loss of torch.

    Args:
        margin: > 0.
        power: 1 or 2.
        class_weights: See ClassLoss.
        class_counts: See ClassLoss.
    """

    one_for_two = False

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each sample, (B,)."""
        return F.multi_margin_loss(outputs, targets, p=self.power, margin=self.margin, reduction="none")


class PerceptronCriterion(Hinge):
    """Hinge loss with margin 0: scores (B, 1) or (B, C), targets (B,) int64 -> shape ().

    Two classes have one score, scores (B, 1): max(0, -s) for class 1, max(0, s) for class 0. Its gradient by the
    weights of s = w x + b is -x or x for a sample on the wrong side, else 0, so a step of gradient descent on one
    sample is the rule w += lr (y - prediction) x (Rosenblatt 1958). A score of 0 counts as wrong.

    Args:
        class_weights: See ClassLoss.
        class_counts: See ClassLoss.
    """

    def __init__(self, class_weights: ClassWeights = None, class_counts: Sequence[int] = ()) -> None:
        super().__init__(0.0, 1, class_weights, class_counts)
