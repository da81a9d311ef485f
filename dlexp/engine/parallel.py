"""The share of the data that one of several processes takes, and batch normalization over all of their shares.

What R processes compute equals what one computes, but for rounding, where the loss of a batch is a mean over its terms
and a network treats each sample alone or by batch normalization. Not equal are random numbers that a network or a loss
draws itself, such as dropout (each rank draws its own), and a loss that compares the samples of a batch, such as a
triplet loss (it sees the share alone).

Symbols: B samples of a global batch, R processes, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

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


class EvalShare:
    """Every R-th batch of a split, from number `rank` on, whole; a rank beyond the last has none."""

    def __init__(self, batches: Iterable[Batch], group: ProcessGroup) -> None:
        self._batches, self._group = batches, group

    def __iter__(self) -> Iterator[Batch]:
        yield from islice(self._batches, self._group.rank, None, self._group.size)


def problem_of_norms(networks: nn.Module) -> str:
    """The reason why running statistics would differ between processes, "" where they do not."""
    for name, module in networks.named_modules():
        if isinstance(module, _NormBase) and module.track_running_stats and not isinstance(module, _BatchNorm):
            return (
                f"{name} is {type(module).__name__} with running statistics, which each process would have its own of"
            )
    return ""


def synchronize_norms(networks: nn.Module, group: ProcessGroup) -> None:
    """Make every batch normalization in training mode take mean and variance of the global batch, on any device.

    Modules and the names of their tensors stay as they are, as with torch's SyncBatchNorm they would not.
    """
    for module in networks.modules():
        if isinstance(module, _BatchNorm):
            module.forward = partial(_synchronized, module, group)  # type: ignore[method-assign]


def _synchronized(norm: _BatchNorm, group: ProcessGroup, given: Tensor) -> Tensor:
    """The normalization of the share (B / R, C, ...) of a batch. Raises ValueError where the batch has one value."""
    if not norm.training:
        local: Tensor = type(norm).forward(norm, given)
        return local
    norm._check_input_dim(given)
    axes, shape = [0, *range(2, given.dim())], (1, -1, *[1] * (given.dim() - 2))
    values = given.float() if given.dtype in (torch.float16, torch.bfloat16) else given
    count: int = group.sum(given.numel() // given.shape[1])
    if count < 2:
        raise ValueError("batch normalization requires more than one value per channel")
    mean = _summed(values.sum(axes), group) / count
    centered = values - mean.view(shape)
    squares = _summed(centered.square().sum(axes), group)
    _track(norm, mean.detach(), squares.detach() / (count - 1))
    found = centered * (squares / count + norm.eps).rsqrt().view(shape)
    if norm.affine:
        found = found * norm.weight.view(shape) + norm.bias.view(shape)
    return found.to(given.dtype)


def _track(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), share)


class _Sum(torch.autograd.Function):
    """The sum over all processes; the gradient of each summand is the sum of the gradients of all."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        found: Tensor = group.sum(value)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total: Tensor = ctx.group.sum(gradient)
        return total, None


def _summed(value: Tensor, group: ProcessGroup) -> Tensor:
    found: Tensor = _Sum.apply(value, group)
    return found
