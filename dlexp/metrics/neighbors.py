"""Metrics of embeddings, by the nearest neighbors of each sample among the samples of its split.

Each sample is left out in turn and the rest of the split are its neighbors (as in Musgrave et al. 2020). So the
validation split does not depend on the training samples: embeddings that only separate the samples they were trained on
show. The numbers belong to the size of the split: with fewer samples of a class its nearest
neighbor is farther away, so compare runs on the same split, and not a small split with a large one.

Symbols: N samples, E numbers of an embedding, C classes, k neighbors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from dlexp.metrics.class_samples import ClassSamples
from dlexp.metrics.outputs import ClassOutputs
from dlexp.metrics.row_store import RowStore
from dlexp.metrics.states import Mean, MetricState
from dlexp.types import Prediction

_ROWS = 512  # of distances at a time
_FAR = 100  # squared distance of the mean from 0, in mean squared distances from the mean


class NeighborState(MetricState):
    """Loss, accuracy of k neighbors, recall at 1 and 5, and the mean distance within and between the classes.

    It keeps the embeddings themselves, 8 E + 16 bytes a sample, since a neighbor may come with any later batch.
    """

    def __init__(self, num_classes: int, k: int) -> None:
        self._num_classes, self._k = num_classes, k
        self._embeddings, self._targets, self._indices = RowStore[Any](), RowStore[np.int64](), RowStore[np.int64]()
        self._loss = Mean()

    @property
    def num_bytes(self) -> int:
        """Bytes that the samples take."""
        return sum(store.num_bytes for store in (self._embeddings, self._targets, self._indices))

    def update(self, prediction: Prediction) -> None:
        """outputs (B, E), targets (B,)."""
        self._embeddings.append(prediction.outputs.double().cpu().numpy())
        self._targets.append(prediction.known_targets.cpu().numpy())
        self._indices.append(prediction.indices.cpu().numpy())
        self._loss.add(prediction)

    def merge(self, other: Self) -> None:
        """Take in another state's embeddings."""
        self._embeddings.extend(other._embeddings)
        self._targets.extend(other._targets)
        self._indices.extend(other._indices)
        self._loss.merge(other._loss)

    def compute(self) -> dict[str, float]:
        """A sample without a neighbor counts as missed; a distance of which there is no pair is 0."""
        loss = self._loss.value()
        embeddings, targets, _ = self.samples()
        found = nearest_neighbors(embeddings, max(5, self._k))
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

    def samples(self) -> tuple[Tensor, Tensor, Tensor]:
        """(embeddings (N, E) float64, class numbers (N,), sample numbers (N,)); at least one sample."""
        stores = self._embeddings, self._targets, self._indices
        embeddings, targets, indices = (torch.from_numpy(store.joined()) for store in stores)
        return embeddings, targets, indices

    def voted(self) -> ClassSamples:
        """The classes of the samples by the votes of their neighbors: scores of each class, (N, C) float64."""
        embeddings, targets, _ = self.samples()
        shares = votes(targets[nearest_neighbors(embeddings, self._k)], self._num_classes)
        return ClassSamples(ClassOutputs([shares.numpy()], "scores"), targets.numpy())


def nearest_neighbors(embeddings: Tensor, k: int) -> Tensor:
    """(N, E) -> (N, min(k, N - 1)) int64: the nearest other samples of each, nearest first."""
    k = min(k, len(embeddings) - 1)
    blocks = _squared(embeddings, float("inf"))
    return torch.cat([block.topk(k, dim=1, largest=False, sorted=True).indices for block in blocks])


def votes(neighbors: Tensor, num_classes: int) -> Tensor:
    """Classes (N, k) of the neighbors, nearest first -> (N, C) shares that add up to 1.

    A nearer neighbor weighs a little more, together less than 1/64 of a vote: equal numbers of votes go to the class
    of the nearest, and nothing else is decided by it.
    """
    k = neighbors.shape[1]
    weights = 1 + 2.0 ** -(7 + torch.arange(k, dtype=torch.float64))
    shares = torch.zeros(len(neighbors), num_classes, dtype=torch.float64)
    shares.scatter_add_(1, neighbors, weights.expand(len(neighbors), k))
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
