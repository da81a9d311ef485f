"""Classification losses of C logits.

Symbols: B batch, C classes, t target probabilities (B, C), p predicted probabilities (B, C).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.losses.output_decoding import Softmax
from dlexp.losses.upcast import upcast
from dlexp.losses.weighting import ClassLoss, ClassWeights, checked_kind, class_shares, smoothed

__all__ = ["KL", "NLL", "CrossEntropy", "Focal"]


class CrossEntropy(ClassLoss):
    """Softmax cross entropy, -sum t log p: logits (B, C), targets (B,) int64 or t -> shape (), nats.

    Args:
        label_smoothing: Share in [0, 1) of each target that is distributed over the classes.
        smoothing_kind: uniform: over all C classes (torch, Szegedy et al. 2016); others: over the C - 1 other classes.
        class_weights: See ClassLoss.
        class_counts: See ClassLoss.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        smoothing_kind: str = "uniform",
        class_weights: ClassWeights = None,
        class_counts: Sequence[int] = (),
    ) -> None:
        super().__init__(Softmax(), class_weights, class_counts)
        self.label_smoothing, self.smoothing_kind = label_smoothing, checked_kind(smoothing_kind)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, shape (); without weights and with uniform smoothing by a single call of torch."""
        if self.weights is None and (self.smoothing_kind == "uniform" or not self.label_smoothing):
            return F.cross_entropy(upcast(outputs), targets, label_smoothing=self.label_smoothing)
        return super().forward(outputs, targets)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each sample, (B,)."""
        if not self.label_smoothing:
            return F.cross_entropy(outputs, targets, reduction="none")
        wanted = smoothed(class_shares(targets, outputs.shape[1], outputs), self.label_smoothing, self.smoothing_kind)
        return -(wanted * outputs.log_softmax(dim=1)).sum(dim=1)


class NLL(ClassLoss):
    """Negative log likelihood of the target: logits (B, C), targets (B,) int64 -> shape (), nats.

    In contrast to NLLLoss of torch, which requires log-probabilities, it requires logits, as all losses here do, and
    includes the log-softmax. It equals cross entropy without smoothing.

    Args:
        class_weights: See ClassLoss.
        class_counts: See ClassLoss.
    """

    def __init__(self, class_weights: ClassWeights = None, class_counts: Sequence[int] = ()) -> None:
        super().__init__(Softmax(), class_weights, class_counts)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each sample, (B,)."""
        return F.nll_loss(outputs.log_softmax(dim=1), targets, reduction="none")


class KL(ClassLoss):
    """Kullback-Leibler divergence of prediction from target, T^2 sum t (log t - log p), p = softmax(logits / T).

    Logits (B, C), targets (B,) int64 or t -> shape (), nats. It equals cross entropy minus the entropy of the target,
    so that a perfect prediction has loss 0 with any smoothing. T^2 preserves the size of the gradient (Hinton et al.
    2015).

    Args:
        temperature: T > 0.
        label_smoothing: Share in [0, 1) of each target that is distributed over the classes.
        smoothing_kind: uniform or others, see CrossEntropy.
        class_weights: See ClassLoss.
        class_counts: See ClassLoss.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        label_smoothing: float = 0.0,
        smoothing_kind: str = "uniform",
        class_weights: ClassWeights = None,
        class_counts: Sequence[int] = (),
    ) -> None:
        super().__init__(Softmax(temperature), class_weights, class_counts)
        self.temperature = temperature
        self.label_smoothing, self.smoothing_kind = label_smoothing, checked_kind(smoothing_kind)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each sample, (B,)."""
        wanted = smoothed(class_shares(targets, outputs.shape[1], outputs), self.label_smoothing, self.smoothing_kind)
        predicted = (outputs / self.temperature).log_softmax(dim=1)
        return F.kl_div(predicted, wanted, reduction="none").sum(dim=1) * self.temperature**2


class Focal(ClassLoss):
    """Focal loss, -sum t alpha (1 - p)^gamma log p (Lin et al. 2017): logits (B, C), targets (B,) or t -> shape ().

    Well-classified samples have less weight. With gamma=0 and alpha=1 it is cross entropy. It is not a proper scoring
    rule: probabilities are underconfident for gamma > 0.

    Args:
        gamma: Focusing exponent, >= 0.
        alpha: Factor of all classes, or one for each; None is 1. In contrast to class_weights, it is not normalized.
        class_weights: See ClassLoss.
        class_counts: See ClassLoss.

    Raises ValueError unless alpha has one number or one for each class.
    """

    alpha: Tensor

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | None = 1.0,
        class_weights: ClassWeights = None,
        class_counts: Sequence[int] = (),
    ) -> None:
        super().__init__(Softmax(), class_weights, class_counts)
        self.gamma = gamma
        given = 1.0 if alpha is None else alpha
        factors = [float(given)] if isinstance(given, int | float) else [float(a) for a in given]
        if class_counts and len(factors) not in (1, len(class_counts)):
            raise ValueError(
                f"alpha must have one number for each class, got {len(factors)} for {len(class_counts)} classes"
            )
        self.register_buffer("alpha", torch.tensor(factors), persistent=False)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each sample, (B,)."""
        predicted = outputs.log_softmax(dim=1)
        wanted = class_shares(targets, outputs.shape[1], outputs) * self.alpha.to(outputs.dtype)
        return -(wanted * doubt(predicted, self.gamma) * predicted).sum(dim=1)


def doubt(log_probabilities: Tensor, gamma: float) -> Tensor:
    """Return (1 - p)^gamma from log p, accurate for p near 1 and with a finite gradient at p = 1 for any gamma."""
    return (-log_probabilities.expm1()).clamp_min(torch.finfo(log_probabilities.dtype).tiny) ** gamma
