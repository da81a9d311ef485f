"""Class weights, label smoothing and class probabilities of targets.

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
    """Base of classification losses: the mean over the batch of sample losses times class weights.

    Weights are normalized to a mean of 1 over the training samples, and the sum is divided by the number of samples. In
    torch it is divided by the sum of the weights in the batch; the weight of a sample then depends on the other
    samples, and four batches of 8 are not equivalent to one of 32.

    Outputs are (B, num_outputs), targets (B,) int64 or probabilities (B, C).

    Args:
        decoder: The meaning of the outputs.
        class_weights: One number > 0 for each class, `balanced` (N / (C * samples of the class)), or None.
        class_counts: Training samples of each class, (C,).

    Raises ValueError for a wrong number of weights or an unsupported number of classes.
    """

    weights: Tensor | None

    def __init__(self, decoder: ClassDecoder, class_weights: ClassWeights, class_counts: Sequence[int]) -> None:
        super().__init__()
        self.decoder = decoder
        if class_counts:
            decoder.num_outputs(len(class_counts))
        self.register_buffer("weights", relative_weights(class_weights, class_counts), persistent=False)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, shape ()."""
        return self.mean(self.each(upcast(outputs), targets), targets)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the unweighted loss of each sample, (B,); `outputs` are float32 or float64."""
        raise NotImplementedError

    def mean(self, losses: Tensor, targets: Tensor) -> Tensor:
        """Return the weighted mean of `losses` (B,), shape ()."""
        if self.weights is None:
            return losses.mean()
        weights = self.weights.to(losses.dtype)
        return (losses * (weights[targets] if targets.ndim == 1 else targets.to(losses.dtype) @ weights)).mean()


def relative_weights(class_weights: ClassWeights, class_counts: Sequence[int]) -> Tensor | None:
    """Return weights (C,) float32 with mean 1 over training samples, or None. Raises ValueError for invalid ones."""
    if class_weights is None:
        return None
    if not class_counts:
        raise ValueError("class_weights requires class_counts, the number of training samples of each class")
    counts = torch.tensor(class_counts, dtype=torch.float64)
    if isinstance(class_weights, str):
        raw = 1 / counts.clamp_min(1)
    elif len(class_weights) != len(counts):
        raise ValueError(
            f"class_weights must have one number for each class, got {len(class_weights)} for {len(counts)} classes"
        )
    else:
        raw = torch.tensor(class_weights, dtype=torch.float64)
    return (raw * counts.sum() / (raw * counts).sum()).float()


def class_shares(targets: Tensor, num_classes: int, like: Tensor) -> Tensor:
    """Return class numbers (B,) or probabilities (B, C) as probabilities (B, C) with the dtype of `like`."""
    return (F.one_hot(targets, num_classes) if targets.ndim == 1 else targets).to(like.dtype)


def smoothed(shares: Tensor, amount: float, kind: str) -> Tensor:
    """Return probabilities (B, C) with label smoothing.

    Args:
        shares: Probabilities (B, C).
        amount: Share in [0, 1) that is distributed.
        kind: uniform: amount / C to every class (Szegedy et al. 2016; torch); others: amount / (C - 1) to every other
            class, which equals uniform with amount * C / (C - 1).
    """
    if not amount:
        return shares
    num_classes = shares.shape[1]
    if kind == "uniform":
        return shares * (1 - amount) + amount / num_classes
    return shares * (1 - amount) + (1 - shares) * (amount / (num_classes - 1))


def checked_kind(kind: str) -> str:
    """Return `kind`. Raises ValueError for an unknown kind of label smoothing."""
    if kind not in ("uniform", "others"):
        raise ValueError(f"unknown smoothing_kind={kind!r}; available: uniform, others")
    return kind
