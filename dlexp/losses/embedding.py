"""Metric-learning losses of embeddings: contrastive and triplet loss.

Pairs and triplets are formed within a batch, so that ordinary shuffled batches suffice, without a special sampler. A
batch must contain several samples of each class (data.batch_size well above the number of classes), and accumulated
batches (trainer.accumulate) are not equivalent to one large batch, since no pair spans two of them. The loss of a batch
without pairs is 0.

Symbols: B batch, E embedding size, d Euclidean distances (B, B).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlexp.losses.upcast import upcast

__all__ = ["Contrastive", "Triplet"]


class Contrastive(nn.Module):
    """Contrastive loss: d^2 for pairs of a class, max(0, margin - d)^2 for others (Hadsell, Chopra and LeCun 2006).

    Embeddings (B, E), class numbers (B,) -> shape (), the mean over the B (B - 1) / 2 pairs of the batch.

    Args:
        margin: Distance > 0 above which pairs of two classes have no loss.
        positive_weight: Factor > 0 of pairs of one class, which are few with many classes.
    """

    def __init__(self, margin: float = 1.0, positive_weight: float = 1.0) -> None:
        super().__init__()
        self.margin, self.positive_weight = margin, positive_weight

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, shape ()."""
        distances = euclidean(upcast(outputs))
        same = targets[:, None] == targets[None, :]
        near = self.positive_weight * distances.square()
        each = torch.where(same, near, (self.margin - distances).clamp_min(0).square())
        pairs = max(1, len(targets) * (len(targets) - 1))
        return each.fill_diagonal_(0).sum() / pairs


class Triplet(nn.Module):
    """Triplet loss, max(0, d(a, p) - d(a, n) + margin): an anchor, a sample of its class, a sample of another class.

    Embeddings (B, E), class numbers (B,) -> shape (), a mean over what was mined.

    Args:
        margin: > 0.
        mining: batch_hard: each anchor with its farthest positive and nearest negative (Hermans et al. 2017);
            semi_hard: each pair of a class with the nearest negative that is farther than the positive, or the farthest
            negative if there is none (Schroff et al. 2015).

    Raises ValueError for unknown mining.
    """

    def __init__(self, margin: float = 0.2, mining: str = "semi_hard") -> None:
        super().__init__()
        if mining not in ("batch_hard", "semi_hard"):
            raise ValueError(f"unknown mining={mining!r}; available: batch_hard, semi_hard")
        self.margin, self.mining = margin, mining

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, shape ()."""
        distances = euclidean(upcast(outputs))
        same = targets[:, None] == targets[None, :]
        positive = same & ~torch.eye(len(targets), dtype=torch.bool, device=same.device)
        if self.mining == "batch_hard":
            own = distances.masked_fill(~positive, 0).amax(dim=1)
            other = distances.masked_fill(same, float("inf")).amin(dim=1)
            counted = positive.any(dim=1) & ~same.all(dim=1)
        else:
            own, other = distances, _semi_hard(distances, ~same)
            counted = positive & ~same.all(dim=1, keepdim=True)
        each = (own - other + self.margin).clamp_min(0)
        return torch.where(counted, each, 0).sum() / counted.sum().clamp_min(1)


def _semi_hard(distances: Tensor, negative: Tensor) -> Tensor:
    """Return the distance of a to its semi-hard negative for each pair (a, p), (B, B); arbitrary without negatives."""
    with torch.no_grad():
        rising, order = distances.masked_fill(~negative, float("inf")).sort(dim=1, stable=True)
        found = torch.searchsorted(rising, distances.contiguous(), right=True)
        last = negative.sum(dim=1, keepdim=True) - 1
        chosen = order.gather(1, torch.minimum(found, last).clamp_min(0))
    return distances.gather(1, chosen)


def euclidean(points: Tensor) -> Tensor:
    """Return the distances (B, B) of points (B, E), with gradient 0 between points that are equal up to rounding.

    Autocast is disabled, since the root of a difference of squares would lose half of the digits of half precision.
    """
    with torch.autocast(points.device.type, enabled=False):
        lengths = points.square().sum(dim=1)
        squared = lengths[:, None] + lengths[None, :] - 2 * (points @ points.T)
    rounding = 4 * torch.finfo(points.dtype).eps * (lengths[:, None] + lengths[None, :]).detach()
    apart = squared > rounding
    return torch.where(apart, squared.where(apart, 1).sqrt(), 0)
