"""Which samples form a batch: consecutive ones of the order of an epoch, or such of similar lengths.

Symbols: N samples of the training split, B samples of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import Ragged
from dlexp.runtime.seed import generator

_POOL = 50  # batches whose samples are sorted by length together
_POOLS = 4  # of an epoch at least: otherwise the same samples would meet in every epoch


def bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Start and end of each batch of N = `count` samples.

    A last batch of a single sample joins the one before it: batch normalization has no variance over one. Not where all
    batches hold one sample.
    """
    starts = list(range(0, count, batch_size))
    if batch_size > 1 and len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return [(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True)]


@dataclass(frozen=True)
class Buckets:
    """Batches of sequences of similar lengths, as a function of (seed, epoch) alone.

    The order of an epoch is cut into pools of many batches. The samples of a pool are sorted by length, so that those
    of a batch are padded to nearly their own length, and then the batches come in a random order. A batch of another
    size is the last one of the epoch, as without buckets, and holds samples of any lengths.

    lengths     (N,) int64 of the training samples, inputs and targets together where both are sequences
    batch_size  B
    seed        of the run
    """

    lengths: Tensor
    batch_size: int
    seed: int

    @classmethod
    def of(cls, bundle: DataBundle, batch_size: int, seed: int) -> Buckets | None:
        """The buckets of a bundle; None where it wants none, or its inputs are no sequences in memory."""
        split = bundle.splits["train"]
        if not bundle.bucket or not isinstance(split.inputs, Ragged):
            return None
        lengths = split.inputs.offsets.diff()
        if isinstance(split.targets, Ragged):
            lengths = lengths + split.targets.offsets.diff()
        return cls(lengths, batch_size, seed)

    def order(self, shuffled: Tensor, epoch: int, attempt: int = 0) -> Tensor:
        """Places (N,) int64 in the order `shuffled` (N,) of the samples of an epoch: a permutation of them."""
        count, size = len(shuffled), self.batch_size
        in_pool = min(_POOL, -(-count // size) // _POOLS) * size
        if in_pool <= size:
            return torch.arange(count)
        draws = generator(self.seed, "buckets", epoch, *(("attempt", attempt) if attempt else ()))
        last, _ = bounds(count, size)[-1]
        odd = count - last if count - last != size else 0
        # The samples of the odd batch are the last ones of a random order, and so of any length.
        pools = torch.arange(count - odd).split(in_pool)
        ordered = [pool[torch.sort(self.lengths[shuffled[pool]], stable=True).indices] for pool in pools]
        batches = torch.cat(ordered).split(size)
        chosen = torch.randperm(len(batches), generator=draws).tolist()
        return torch.cat([*(batches[number] for number in chosen), torch.arange(count - odd, count)])
