"""Targets as shares of classes, and samples that weigh what their class weighs.

Symbols: B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.losses.output_decoding import ClassDecoder
from dlexp.losses.upcast import upcast

ClassWeights = Sequence[float] | str | None


class ClassLoss(nn.Module):
    """The mean over the batch of what each sample costs, times the weight of its class.

    The weights are scaled to a mean of 1 over the training samples, and the sum is divided by the number of samples.
    torch divides by the sum of the weights in the batch instead; then what a sample weighs depends on its neighbours,
    and four batches of 8 are not one of 32.

    Losses of this kind take outputs (B, num_outputs) and targets (B,) int64, or shares (B, C) that add up to 1.

    class_weights  one number > 0 a class, `balanced` (N / (C * samples of the class)), or None for no weights
    class_counts   training samples of each class
    decoder        of the outputs
    """

    weights: Tensor | None

    def __init__(self, decoder: ClassDecoder, class_weights: ClassWeights, class_counts: Sequence[int]) -> None:
        """Raises ValueError for weights that do not fit the classes, or a number of classes that cannot be."""
        super().__init__()
        self.decoder = decoder
        if class_counts:
            decoder.num_outputs(len(class_counts))
        self.register_buffer("weights", relative_weights(class_weights, class_counts), persistent=False)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss, shape ()."""
        return self.mean(self.each(upcast(outputs), targets), targets)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What each sample costs, (B,), before weights; `outputs` are float32 or float64."""
        raise NotImplementedError

    def mean(self, losses: Tensor, targets: Tensor) -> Tensor:
        """The weighted mean of `losses` (B,), shape ()."""
        if self.weights is None:
            return losses.mean()
        weights = self.weights.to(losses.dtype)
        return (losses * (weights[targets] if targets.ndim == 1 else targets.to(losses.dtype) @ weights)).mean()


def relative_weights(class_weights: ClassWeights, class_counts: Sequence[int]) -> Tensor | None:
    """(C,) float32 with mean 1 over the training samples, None for no weights. Raises ValueError for a wrong number."""
    if class_weights is None:
        return None
    if not class_counts:
        raise ValueError("class_weights needs the number of training samples of each class")
    counts = torch.tensor(class_counts, dtype=torch.float64)
    if isinstance(class_weights, str):
        raw = 1 / counts.clamp_min(1)
    elif len(class_weights) != len(counts):
        raise ValueError(f"class_weights has {len(class_weights)} numbers, and this data has {len(counts)} classes")
    else:
        raw = torch.tensor(class_weights, dtype=torch.float64)
    return (raw * counts.sum() / (raw * counts).sum()).float()


def shares(targets: Tensor, num_classes: int, like: Tensor) -> Tensor:
    """Class numbers (B,) or shares (B, C) -> shares (B, C) in the number format of `like`."""
    return (F.one_hot(targets, num_classes) if targets.ndim == 1 else targets).to(like.dtype)


def smoothed(shares: Tensor, amount: float, kind: str) -> Tensor:
    """Shares (B, C) with `amount` of each spread.

    uniform  amount / C to every class, the target's own too (Szegedy et al. 2016; torch)
    others   amount / (C - 1) to every other class; the same as uniform with amount * C / (C - 1)
    """
    if not amount:
        return shares
    num_classes = shares.shape[1]
    if kind == "uniform":
        return shares * (1 - amount) + amount / num_classes
    return shares * (1 - amount) + (1 - shares) * (amount / (num_classes - 1))


def checked_kind(kind: str) -> str:
    """`kind` itself. Raises ValueError when it is no kind of label smoothing."""
    if kind not in ("uniform", "others"):
        raise ValueError(f"smoothing_kind={kind!r} is not one of uniform, others")
    return kind
