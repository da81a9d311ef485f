"""Losses of embeddings: samples of a class are to lie near each other, and away from other classes.

The pairs and triplets are found among the samples of the batch. A batch holds B^2 pairs whatever its order, so that the
ordinary shuffled batches do: no sampler, each sample once an epoch, resuming as always. The price is that a batch must
hold each class several times (data.batch_size well above the number of classes), and that several small batches
(trainer.accumulate) are not one large one, for no pair lies across two of them. A batch without a pair costs 0.

Symbols: B batch, E numbers of an embedding, d Euclidean distances (B, B).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlexp.losses.upcast import upcast

__all__ = ["Contrastive", "Triplet"]


class Contrastive(nn.Module):
    """d^2 for a pair of one class, max(0, margin - d)^2 for one of two (Hadsell, Chopra and LeCun 2006).

    Embeddings (B, E), class numbers (B,) -> shape (), the mean over the B (B - 1) / 2 pairs of the batch.

    margin           distance > 0 above which two classes are far enough apart
    positive_weight  factor > 0 of the pairs of one class; with many classes they are few
    """

    def __init__(self, margin: float = 1.0, positive_weight: float = 1.0) -> None:
        super().__init__()
        self.margin, self.positive_weight = margin, positive_weight

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss."""
        distances = euclidean(upcast(outputs))
        same = targets[:, None] == targets[None, :]
        near = self.positive_weight * distances.square()
        each = torch.where(same, near, (self.margin - distances).clamp_min(0).square())
        pairs = max(1, len(targets) * (len(targets) - 1))
        return each.fill_diagonal_(0).sum() / pairs


class Triplet(nn.Module):
    """max(0, d(a, p) - d(a, n) + margin): an anchor, one of its class, one of another.

    Embeddings (B, E), class numbers (B,) -> shape (), a mean over what was mined.

    margin  > 0
    mining  batch_hard: each anchor with the farthest of its class and the nearest of another (Hermans et al. 2017);
            semi_hard: each pair of a class with the nearest of another that is farther than the pair, or the farthest
            where none is (Schroff et al. 2015)
    """

    def __init__(self, margin: float = 0.2, mining: str = "semi_hard") -> None:
        """Raises ValueError for another kind of mining."""
        super().__init__()
        if mining not in ("batch_hard", "semi_hard"):
            raise ValueError(f"mining={mining!r} is not one of batch_hard, semi_hard")
        self.margin, self.mining = margin, mining

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss."""
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
    """For each pair (a, p) the distance of a to its semi-hard negative, (B, B); any number where a has no negative."""
    with torch.no_grad():
        rising, order = distances.masked_fill(~negative, float("inf")).sort(dim=1, stable=True)
        found = torch.searchsorted(rising, distances.contiguous(), right=True)
        last = negative.sum(dim=1, keepdim=True) - 1
        chosen = order.gather(1, torch.minimum(found, last).clamp_min(0))
    return distances.gather(1, chosen)


def euclidean(points: Tensor) -> Tensor:
    """(B, E) -> distances (B, B), with gradient 0 between points that are equal up to rounding.

    Autocast is off inside: it would multiply in half precision, and the square root of a difference of squares keeps
    half of the digits.
    """
    with torch.autocast(points.device.type, enabled=False):
        lengths = points.square().sum(dim=1)
        squared = lengths[:, None] + lengths[None, :] - 2 * (points @ points.T)
    rounding = 4 * torch.finfo(points.dtype).eps * (lengths[:, None] + lengths[None, :]).detach()
    apart = squared > rounding
    return torch.where(apart, squared.where(apart, 1).sqrt(), 0)
