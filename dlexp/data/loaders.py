"""Batches of a split: one reading and one preprocessing for several batches at a time.

Where the samples are, on the device or in files, is decided by the columns of the split.

Symbols: N samples of the split, B samples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from dlexp.data.balancing import BalancedOrder, ChangedAgain, class_numbers
from dlexp.data.batches import Buckets, bounds
from dlexp.data.bundle import DataBundle, Split
from dlexp.data.columns import Transform, column_size
from dlexp.runtime.seed import order
from dlexp.types import Batch, Field

_CHUNK_BYTES = 1 << 20  # of float32 inputs made at a time: small batches share the calls, and a cache still holds them


class TrainBatches:
    """The training split, in the order and with the augmentation that belong to an epoch.

    balanced  whether each class fills the same number of places in an epoch; see `BalancedOrder`
    """

    def __init__(
        self, bundle: DataBundle, batch_size: int, seed: int, device: torch.device, balanced: bool = False
    ) -> None:
        self._balanced = BalancedOrder(class_numbers(bundle.splits["train"]), seed) if balanced else None
        self._split = bundle.splits["train"].to(device)
        self._preprocess = bundle.preprocess.to(device)
        self._recipe, self._seed = bundle.recipe, seed
        self._bounds = bounds(len(self._split), batch_size)
        self._buckets = Buckets.of(bundle, batch_size, seed)
        self._per_chunk = _batches_per_chunk(self._split, batch_size)

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
        split, transform = self._split, self._recipe.transform(self._seed, epoch)
        chosen = None if self._balanced is None else self._balanced.epoch(epoch, attempt)
        shuffled = order(len(split), self._seed, epoch, attempt) if chosen is None else chosen.positions
        again = None if chosen is None else chosen.again
        if self._buckets is not None:
            places = self._buckets.order(shuffled, epoch, attempt)
            shuffled, again = shuffled[places], None if again is None else again[places]
        positions = shuffled.to(split.indices.device)
        starts = range(first_batch, len(self._bounds), self._per_chunk)
        chunks = [self._bounds[first : first + self._per_chunk] for first in starts]
        parts_of_epoch = [slice(chunk[0][0], chunk[-1][1]) for chunk in chunks]
        pieces = [positions[part] for part in parts_of_epoch]
        changes: Transform | Sequence[Transform] | None = transform
        if again is not None and transform is not None:
            changes = [ChangedAgain(transform, again[part]) for part in parts_of_epoch]
        for chunk, piece, (inputs, targets) in zip(chunks, pieces, split.read(pieces, changes), strict=True):
            sizes = [end - start for start, end in chunk]
            parts = _parted(self._preprocess(inputs), sizes), _parted(targets, sizes)
            yield from map(Batch, *parts, split.indices[piece].split(sizes))


class EvalBatches:
    """A split in its own order, unchanged, or in the one view of test-time augmentation that `transform` is."""

    def __init__(
        self,
        bundle: DataBundle,
        split: str,
        batch_size: int,
        device: torch.device,
        transform: Transform | None = None,
    ) -> None:
        self._split = bundle.splits[split].to(device)
        self._preprocess = bundle.preprocess.to(device)
        self._transform = bundle.recipe.unchanged if transform is None else transform
        self._bounds = bounds(len(self._split), batch_size)

    def __len__(self) -> int:
        return len(self._bounds)

    @property
    def num_samples(self) -> int:
        """N of the split."""
        return len(self._split)

    def __iter__(self) -> Iterator[Batch]:
        pieces = [slice(start, end) for start, end in self._bounds]
        found = self._split.read(pieces, self._transform)
        for piece, (inputs, targets) in zip(pieces, found, strict=True):
            yield Batch(self._preprocess(inputs), targets, self._split.indices[piece])


def _batches_per_chunk(split: Split, batch_size: int) -> int:
    """Batches that are read at a time; one where samples differ in shape, so that each is padded to its own longest."""
    inputs, targets = column_size(split.inputs), column_size(split.targets)
    if inputs is None or targets is None:
        return 1
    return max(1, _CHUNK_BYTES // (4 * batch_size * max(1, inputs)))


def _parted(given: Field | None, sizes: Sequence[int]) -> Iterable[Any]:
    """Consecutive parts of `given`, one of each size."""
    if isinstance(given, Tensor):
        parts: tuple[Tensor, ...] = given.split(sizes)
        return parts
    return repeat(given, len(sizes))  # nothing; or one batch alone, see `_batches_per_chunk`
