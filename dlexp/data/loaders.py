"""Batches of a split: one reading and one normalisation for several batches at a time.

Where the samples are, on the device or in files, is the split's own affair (`Split.read`).

Symbols: N samples of the split, B samples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from dlexp.data.bundle import DataBundle
from dlexp.runtime.seed import order
from dlexp.types import Batch

_CHUNK_BYTES = 1 << 20  # of float32 inputs made at a time: small batches share the calls, and a cache still holds them


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
        self._recipe, self._seed = bundle.recipe, seed
        self._bounds = bounds(len(self._split), batch_size)
        self._per_chunk = max(1, _CHUNK_BYTES // (4 * batch_size * max(1, self._split.inputs[:1].numel())))

    def __len__(self) -> int:
        return len(self._bounds)

    @property
    def num_samples(self) -> int:
        """N of the training split."""
        return len(self._split)

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `first_batch` on: the same ones wherever the iteration starts.

        attempt  how often the epoch was begun anew; each time the samples come in another order
        """
        split = self._split
        positions = order(len(split), self._seed, epoch, attempt).to(split.rows.device)
        starts = range(first_batch, len(self._bounds), self._per_chunk)
        chunks = [self._bounds[first : first + self._per_chunk] for first in starts]
        pieces = [positions[chunk[0][0] : chunk[-1][1]] for chunk in chunks]
        change = self._recipe.change(self._seed, epoch)
        for chunk, piece, inputs in zip(chunks, pieces, split.read(pieces, change), strict=True):
            sizes = [end - start for start, end in chunk]
            parts = (
                part.split(sizes) for part in (self._normalize(inputs), split.targets_at(piece), split.rows[piece])
            )
            yield from map(Batch, *parts)


class EvalBatches:
    """A split in its own order, unchanged."""

    def __init__(self, bundle: DataBundle, split: str, batch_size: int, device: torch.device) -> None:
        self._split = bundle.splits[split].to(device)
        self._normalize = bundle.normalize.to(device)
        self._unchanged = bundle.recipe.unchanged
        self._bounds = bounds(len(self._split), batch_size)

    def __len__(self) -> int:
        return len(self._bounds)

    @property
    def num_samples(self) -> int:
        """N of the split."""
        return len(self._split)

    def __iter__(self) -> Iterator[Batch]:
        pieces = [slice(start, end) for start, end in self._bounds]
        for piece, inputs in zip(pieces, self._split.read(pieces, self._unchanged), strict=True):
            yield Batch(self._normalize(inputs), self._split.targets_at(piece), self._split.rows[piece])
