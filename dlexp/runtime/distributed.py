"""The processes that train one model together, and the null object for a run of one process.

Symbols: R processes (the world size); a process has a rank, 0 to R - 1.
"""

from __future__ import annotations

import signal
from typing import Any, Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from dlexp.runtime.signals import StopRequest

T = TypeVar("T")


class ProcessGroup(Protocol):
    """R processes that compute the same thing on different samples.

    Every method is a collective: all R processes call it, in the same order, or all of them wait forever.

    rank  number of this process, 0 to R - 1; rank 0 alone writes files and reports progress
    size  R
    """

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def sum(self, value: int | float | Tensor) -> Any:
        """The sum of `value` over all processes, of the kind and shape that it has here."""

    def any(self, flag: bool) -> bool:
        """True where `flag` is true in at least one process."""

    def gather(self, value: T) -> list[T]:
        """The values of all processes in the order of their ranks; each must pickle."""

    def broadcast(self, value: T) -> T:
        """The value that rank 0 has; it must pickle."""

    def barrier(self) -> None:
        """Wait until all processes are here."""


class SingleProcess:
    """The null object: one process, whose values are those of the group."""

    rank = 0
    size = 1

    def sum(self, value: int | float | Tensor) -> Any:
        """The value itself."""
        return value

    def any(self, flag: bool) -> bool:
        """The flag itself."""
        return flag

    def gather(self, value: T) -> list[T]:
        """The value alone."""
        return [value]

    def broadcast(self, value: T) -> T:
        """The value itself."""
        return value

    def barrier(self) -> None:
        """Return at once."""


ALONE = SingleProcess()


class TorchProcesses:
    """The processes of `torch.distributed`'s default group, which must be initialized.

    device  where numbers are put to be summed up: the GPU of this process for NCCL, the CPU for Gloo
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def sum(self, value: int | float | Tensor) -> Any:
        """Whole numbers are summed exactly, others in float64; a tensor keeps its own type."""
        if isinstance(value, Tensor):
            total = value.detach().clone()
            dist.all_reduce(total)
            return total
        kind = torch.int64 if isinstance(value, int) else torch.float64
        total = torch.tensor(value, dtype=kind, device=self._device)
        dist.all_reduce(total)
        return total.item()

    def any(self, flag: bool) -> bool:
        """True where `flag` is true in at least one process."""
        return bool(self.sum(int(flag)))

    def gather(self, value: T) -> list[T]:
        """The values of all processes in the order of their ranks."""
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return cast(list[T], found)

    def broadcast(self, value: T) -> T:
        """The value that rank 0 has."""
        held = [value]
        dist.broadcast_object_list(held, device=self._device)
        return held[0]

    def barrier(self) -> None:
        """Wait until all processes are here."""
        dist.barrier()


def is_stopping(stop: StopRequest, group: ProcessGroup) -> bool:
    """Whether any process of the group has a request to stop; then `stop` is set in all of them.

    A scheduler may send its signal to one process alone, and all of them must save and end after the same update.
    """
    if not group.any(bool(stop)):
        return False
    for name in group.gather(stop.name):
        if not stop and name in signal.Signals.__members__:
            stop.request(signal.Signals[name])
    return True
