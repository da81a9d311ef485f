"""Batches of a split that lives on the device: one gather, one normalisation, no copies of single samples.

Symbols: N samples of the split, B samples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dlexp.data.augment import augmented
from dlexp.data.bundle import DataBundle
from dlexp.runtime.seed import order
from dlexp.types import Batch


def bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Start and end of each batch of N = `count` samples.

    A last batch of a single sample joins the one before it: batch normalisation has no variance over one.
    """
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return [(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True)]


class TrainBatches:
    """The training split, in the order and with the augmentation that belong to an epoch."""

    def __init__(self, bundle: DataBundle, batch_size: int, seed: int, device: torch.device) -> None:
        self._split = bundle.splits["train"].to(device)
        self._normalize = bundle.normalize.to(device)
        self._augment, self._pad, self._seed = bundle.augment, bundle.pad, seed
        self._bounds = bounds(len(self._split), batch_size)

    def __len__(self) -> int:
        return len(self._bounds)

    @property
    def num_samples(self) -> int:
        """N of the training split."""
        return len(self._split)

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `first_batch` on: the same ones wherever the iteration starts."""
        positions = order(len(self._split), self._seed, epoch).to(self._split.rows.device)
        for start, end in self._bounds[first_batch:]:
            picked = positions[start:end]
            rows = self._split.rows[picked]
            inputs = self._split.inputs[picked]
            inputs = augmented(inputs, rows, self._augment, self._pad, self._seed, epoch)
            yield Batch(self._normalize(inputs), self._split.targets[picked], rows)


class EvalBatches:
    """A split in its own order, unchanged."""

    def __init__(self, bundle: DataBundle, split: str, batch_size: int, device: torch.device) -> None:
        self._split = bundle.splits[split].to(device)
        self._normalize = bundle.normalize.to(device)
        self._bounds = bounds(len(self._split), batch_size)

    def __len__(self) -> int:
        return len(self._bounds)

    @property
    def num_samples(self) -> int:
        """N of the split."""
        return len(self._split)

    def __iter__(self) -> Iterator[Batch]:
        for start, end in self._bounds:
            inputs: Tensor = self._normalize(self._split.inputs[start:end])
            yield Batch(inputs, self._split.targets[start:end], self._split.rows[start:end])
