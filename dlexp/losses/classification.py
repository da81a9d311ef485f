"""Losses of C logits.

Symbols: B batch, C classes, t shares of the classes (B, C) that add up to 1, p their predicted probabilities (B, C).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.losses.output_decoding import Softmax
from dlexp.losses.upcast import upcast
from dlexp.losses.weighting import ClassLoss, ClassWeights, checked_kind, shares, smoothed

__all__ = ["KL", "NLL", "CrossEntropy", "Focal"]


class CrossEntropy(ClassLoss):
    """Softmax cross entropy, -sum t log p: logits (B, C), targets (B,) int64 or t -> shape (), nats.

    label_smoothing  share in [0, 1) of each target that is spread over the classes
    smoothing_kind   uniform: over all C classes (torch, Szegedy et al. 2016); others: over the C - 1 other classes
    class_weights, class_counts  see ClassLoss
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
        """The loss; without weights and in torch's convention it is one call of torch's."""
        if self.weights is None and (self.smoothing_kind == "uniform" or not self.label_smoothing):
            return F.cross_entropy(upcast(outputs), targets, label_smoothing=self.label_smoothing)
        return super().forward(outputs, targets)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B,)."""
        if not self.label_smoothing:
            return F.cross_entropy(outputs, targets, reduction="none")
        wanted = smoothed(shares(targets, outputs.shape[1], outputs), self.label_smoothing, self.smoothing_kind)
        return -(wanted * outputs.log_softmax(dim=1)).sum(dim=1)


class NLL(ClassLoss):
    """Negative log likelihood of the target: logits (B, C), targets (B,) int64 -> shape (), nats.

    torch's NLLLoss takes log-probabilities. This one takes logits as every other loss here does, and has the
    log-softmax inside; so it equals cross entropy without smoothing.

    class_weights, class_counts  see ClassLoss
    """

    def __init__(self, class_weights: ClassWeights = None, class_counts: Sequence[int] = ()) -> None:
        super().__init__(Softmax(), class_weights, class_counts)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B,)."""
        return F.nll_loss(outputs.log_softmax(dim=1), targets, reduction="none")


class KL(ClassLoss):
    """Divergence of the prediction from the target, T^2 sum t (log t - log p), p = softmax(logits / T).

    Logits (B, C), targets (B,) int64 or t -> shape (), nats. It is cross entropy less the entropy of the target, so
    that a perfect prediction costs 0 whatever the smoothing. T^2 keeps the size of the gradient (Hinton et al. 2015).

    temperature      T > 0
    label_smoothing  share in [0, 1) of each target that is spread over the classes
    smoothing_kind   uniform or others, see CrossEntropy
    class_weights, class_counts  see ClassLoss
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
        """(B,)."""
        wanted = smoothed(shares(targets, outputs.shape[1], outputs), self.label_smoothing, self.smoothing_kind)
        predicted = (outputs / self.temperature).log_softmax(dim=1)
        return F.kl_div(predicted, wanted, reduction="none").sum(dim=1) * self.temperature**2


class Focal(ClassLoss):
    """Focal loss, -sum t alpha (1 - p)^gamma log p (Lin et al. 2017): logits (B, C), targets (B,) or t -> shape ().

    Samples that are already right weigh less. gamma=0, alpha=1 is cross entropy. It is no proper score: the
    probabilities come out less sure than they should be for gamma > 0.

    gamma  >= 0
    alpha  a factor for every class, or one each, None is 1; unlike class_weights it is not scaled to mean 1
    class_weights, class_counts  see ClassLoss
    """

    alpha: Tensor

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | None = 1.0,
        class_weights: ClassWeights = None,
        class_counts: Sequence[int] = (),
    ) -> None:
        """Raises ValueError when alpha has not one number a class."""
        super().__init__(Softmax(), class_weights, class_counts)
        self.gamma = gamma
        given = 1.0 if alpha is None else alpha
        factors = [float(given)] if isinstance(given, int | float) else [float(a) for a in given]
        if class_counts and len(factors) not in (1, len(class_counts)):
            raise ValueError(f"alpha has {len(factors)} numbers, and this data has {len(class_counts)} classes")
        self.register_buffer("alpha", torch.tensor(factors), persistent=False)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B,)."""
        predicted = outputs.log_softmax(dim=1)
        wanted = shares(targets, outputs.shape[1], outputs) * self.alpha.to(outputs.dtype)
        return -(wanted * doubt(predicted, self.gamma) * predicted).sum(dim=1)


def doubt(log_probabilities: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma from log p, exact for p near 1 and with a finite gradient at p = 1 for gamma below 1 too."""
    return (-log_probabilities.expm1()).clamp_min(torch.finfo(log_probabilities.dtype).tiny) ** gamma
