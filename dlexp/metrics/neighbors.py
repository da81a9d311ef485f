"""How well embeddings group the classes, by the nearest neighbours of each sample among the samples of its own split.

Each sample is left out in turn and the rest of the split are its neighbours (as in Musgrave et al. 2020). So the
validation split says nothing of the training samples and takes nothing from them: embeddings that only know the samples
they were trained on show. The numbers belong to the size of the split: with fewer samples of a class its nearest
neighbour is farther away, so compare runs on the same split, and not a small split with a large one.

Symbols: N samples, E numbers of an embedding, C classes, k neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor

from dlexp.metrics.states import Mean, MetricState
from dlexp.types import Prediction

_ROWS = 512  # of distances at a time
_FAR = 100  # squared distance of the mean from 0, in mean squared distances from the mean


class NeighbourState(MetricState):
    """Loss, accuracy of k neighbours, recall at 1 and 5, and the mean distance within and between the classes.

    It keeps the embeddings themselves, N * E numbers, since a neighbour may come with any later batch.
    """

    def __init__(self, num_classes: int, k: int) -> None:
        self._num_classes, self._k = num_classes, k
        self._embeddings: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._loss = Mean()

    def update(self, prediction: Prediction) -> None:
        """outputs (B, E), targets (B,)."""
        self._embeddings.append(prediction.outputs.double().cpu())
        self._targets.append(prediction.known_targets.cpu())
        self._loss.add(prediction)

    def merge(self, other: Self) -> None:
        """Take in another state's embeddings."""
        self._embeddings += other._embeddings
        self._targets += other._targets
        self._loss.merge(other._loss)

    def compute(self) -> dict[str, float]:
        """A sample without a neighbour counts as missed; a distance of which there is no pair is 0."""
        loss = self._loss.value()
        embeddings, targets = torch.cat(self._embeddings), torch.cat(self._targets)
        found = nearest(embeddings, max(5, self._k))
        hits = targets[found] == targets[:, None]
        guesses = votes(targets[found[:, : self._k]], self._num_classes).argmax(dim=1)
        same, other = _mean_distances(embeddings, targets)
        return {
            "loss": loss,
            "knn_accuracy": float((guesses == targets).double().mean()) if len(targets) > 1 else 0.0,
            "recall_at_1": float(hits[:, :1].any(dim=1).double().mean()),
            "recall_at_5": float(hits[:, :5].any(dim=1).double().mean()),
            "same_distance": same,
            "other_distance": other,
        }


def nearest(embeddings: Tensor, k: int) -> Tensor:
    """(N, E) -> (N, min(k, N - 1)) int64: the nearest other samples of each, nearest first."""
    k = min(k, len(embeddings) - 1)
    blocks = _squared(embeddings, float("inf"))
    return torch.cat([block.topk(k, dim=1, largest=False, sorted=True).indices for block in blocks])


def votes(neighbours: Tensor, num_classes: int) -> Tensor:
    """Classes (N, k) of the neighbours, nearest first -> (N, C) shares that add up to 1.

    A nearer neighbour weighs a little more, together less than 1/64 of a vote: equal numbers of votes go to the class
    of the nearest, and nothing else is decided by it.
    """
    k = neighbours.shape[1]
    weights = 1 + 2.0 ** -(7 + torch.arange(k, dtype=torch.float64))
    shares = torch.zeros(len(neighbours), num_classes, dtype=torch.float64)
    shares.scatter_add_(1, neighbours, weights.expand(len(neighbours), k))
    return shares / weights.sum().clamp_min(1)


def _mean_distances(embeddings: Tensor, targets: Tensor) -> tuple[float, float]:
    """Mean distance of the pairs of one class, and of those of two."""
    within, between, pairs = 0.0, 0.0, -len(targets)  # a sample is no pair with itself
    for own, block in zip(targets.split(_ROWS), _squared(embeddings, 0.0), strict=True):
        same, distances = own[:, None] == targets[None, :], block.sqrt()
        within += float(distances[same].sum())
        between += float(distances[~same].sum())
        pairs += int(same.sum())
    others = len(targets) * (len(targets) - 1) - pairs
    return within / max(1, pairs), between / max(1, others)


def _squared(embeddings: Tensor, to_itself: float) -> Iterator[Tensor]:
    """Squared distances (rows, N), some rows at a time, in float64; `to_itself` stands on the diagonal."""
    mean = embeddings.mean(dim=0)
    if mean.square().sum() > _FAR * (embeddings - mean).square().sum() / len(embeddings):
        embeddings = embeddings - mean  # far from 0 the difference of squares leaves nothing of a small distance
    lengths = embeddings.square().sum(dim=1)
    for start in range(0, len(embeddings), _ROWS):
        rows = embeddings[start : start + _ROWS]
        block = (lengths[start : start + _ROWS, None] + lengths[None, :] - 2 * rows @ embeddings.T).clamp_min(0)
        own = torch.arange(len(rows))
        block[own, start + own] = to_itself
        yield block
