"""How well the classes are mixed in the batches of an epoch, and in the source.

Symbols: N training samples, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.balancing import BalancedOrder, class_numbers
from dlexp.data.batches import Buckets, bounds
from dlexp.data.bundle import DataBundle
from dlexp.runtime.seed import numbers, order
from dlexp.specs import ClassSpec

_DRAWS = 20
_MOST = 200_000  # samples of an epoch


@dataclass(frozen=True)
class BatchMix:
    """Batches of an epoch.

    Attributes:
        batches: Their number.
        distance: Mean over the batches of half the sum of differences between the shares of classes in it and among
            all samples, in [0, 1].
        random_distance: The same of batches of a random order, mean.
        random_spread: Standard deviation over random orders.
        one_class: Share of batches with a single class.
        random_one_class: The same of a random order, mean.
        source_repeats: Share of samples whose class is that of the sample before it in the source.
        random_repeats: The same of a random order.
    """

    batches: int
    distance: float
    random_distance: float
    random_spread: float
    one_class: float
    random_one_class: float
    source_repeats: float
    random_repeats: float


def batch_mix(bundle: DataBundle, batch_size: int, seed: int, balanced: bool) -> BatchMix | None:
    """Measure the first epoch; None for other targets than classes, one batch, or more than 200,000 samples.

    Args:
        bundle: The data.
        batch_size: Samples of a batch.
        seed: Seed of the run.
        balanced: Whether each class fills the same number of places (data.balance=sampling).
    """
    split = bundle.splits["train"]
    if not isinstance(bundle.spec.targets, ClassSpec) or not batch_size < len(split) <= _MOST:
        return None
    labels = class_numbers(split)
    positions = BalancedOrder(labels, seed).epoch(0).positions if balanced else order(len(split), seed, 0)
    buckets = Buckets.of(bundle, batch_size, seed)
    if buckets is not None:
        positions = positions[buckets.order(positions, 0)]
    in_source = labels[torch.argsort(split.indices.cpu(), stable=True)].numpy()
    return mix_of(labels[positions].numpy(), in_source, batch_size, seed)


def mix_of(labels: NDArray[np.int64], in_source: NDArray[np.int64], batch_size: int, seed: int) -> BatchMix:
    """The mix of batches.

    Args:
        labels: (N,) class numbers in the order of an epoch.
        in_source: (N,) class numbers in the order of the source.
        batch_size: Samples of a batch.
        seed: Seed of the random orders.
    """
    rng = numbers(seed, "diagnosis", "mix", len(labels))
    distance, one_class = _mixed(labels, batch_size)
    drawn = [_mixed(rng.permutation(labels), batch_size) for _ in range(_DRAWS)]
    distances = np.array([value for value, _ in drawn])
    shares = np.bincount(in_source) / max(len(in_source), 1)
    return BatchMix(
        len(bounds(len(labels), batch_size)),
        distance,
        float(distances.mean()),
        float(distances.std()),
        one_class,
        float(np.mean([share for _, share in drawn])),
        float((in_source[1:] == in_source[:-1]).mean()),
        float((shares**2).sum()),
    )


def _mixed(labels: NDArray[np.int64], batch_size: int) -> tuple[float, float]:
    classes = int(labels.max()) + 1
    limits = bounds(len(labels), batch_size)
    batch = np.repeat(np.arange(len(limits)), [end - start for start, end in limits])
    counts = np.bincount(batch * classes + labels, minlength=len(limits) * classes).reshape(len(limits), classes)
    shares, whole = counts / counts.sum(axis=1, keepdims=True), counts.sum(axis=0) / counts.sum()
    return float(np.abs(shares - whole).sum(axis=1).mean() / 2), float(((counts > 0).sum(axis=1) == 1).mean())
