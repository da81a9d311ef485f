"""The share of the training data that one of several processes takes.

Symbols: B samples of a global batch, R processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from dlexp.runtime.distributed import ProcessGroup
from dlexp.types import Batch, TrainingData, select


class RankShare:
    """Every R-th sample of each batch of other training data, from number `rank` on; training data themselves.

    All processes draw the same permutation and make the same global batches, so that a run may resume with another
    number of processes. Lengths are those of the global data. Raises ValueError for a global batch of fewer than R
    samples, the last of an epoch included: a process without samples has no loss.
    """

    def __init__(self, data: TrainingData, group: ProcessGroup) -> None:
        self._data, self._group = data, group

    def __len__(self) -> int:
        return len(self._data)

    @property
    def num_samples(self) -> int:
        """Samples of the whole split."""
        return self._data.num_samples

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]:
        """The shares of the batches of `epoch` from number `first_batch` on."""
        rank, size = self._group.rank, self._group.size
        for batch in self._data.epoch(epoch, first_batch, attempt):
            if len(batch) < size:
                raise ValueError(f"a batch of {len(batch)} samples cannot be shared by {size} processes")
            yield share_of(batch, rank, size)


def share_of(batch: Batch, rank: int, size: int) -> Batch:
    """The samples number rank, rank + size, ... of a batch."""
    positions = torch.arange(rank, len(batch), size, device=batch.indices.device)
    mixed = batch.mixed
    return replace(
        batch,
        inputs=select(batch.inputs, positions),
        targets=None if batch.targets is None else select(batch.targets, positions),
        indices=batch.indices[positions],
        mixed=None if mixed is None else replace(mixed, targets=mixed.targets[positions]),
    )
