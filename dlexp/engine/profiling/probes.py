"""Probes of an update's time and memory; the step itself holds no measuring code.

A probe is called when a part of an update begins and ends: `data` while batches are made, `forward` while the task
computes its loss, `backward` while gradients are computed, `optimizer` while an optimizer steps. The rest (clipping,
checks, penalties, schedules, observers) is `other`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile, record_function

from dlexp.engine.state import TrainState

HOOKED = ("data", "forward", "backward", "optimizer")
PARTS = (*HOOKED, "other")


class Probe(Protocol):
    """Called in the order begin, (enter, leave, ..., end_update), ..., end of an epoch."""

    def begin(self) -> None: ...

    def enter(self, part: str) -> None: ...

    def leave(self, part: str) -> None: ...

    def end_update(self) -> None: ...

    def end(self) -> None: ...


class Clock:
    """Whole updates, with no wait in them: the pace of an undisturbed run.

    updates  seconds of each; on a GPU the time to launch it, since only the end waits for the work
    seconds  all of them, the wait included
    """

    def __init__(self, device: torch.device) -> None:
        self._wait = waiting(device)
        self._begun = self._edge = 0.0
        self.updates: list[float] = []
        self.seconds = 0.0

    def begin(self) -> None:
        """Called before the first batch is read."""
        self._wait()
        self._begun = self._edge = time.perf_counter()

    def enter(self, part: str) -> None:
        """Do nothing."""

    def leave(self, part: str) -> None:
        """Do nothing."""

    def end_update(self) -> None:
        """Note the time."""
        now = time.perf_counter()
        self.updates.append(now - self._edge)
        self._edge = now

    def end(self) -> None:
        """The last update was made."""
        self._wait()
        self.seconds += time.perf_counter() - self._begun


class Timer:
    """Every part of every update; a GPU is waited for at each edge, so that its work counts in its part.

    updates  a row an update: part -> seconds, whose sum is the time of the update
    """

    def __init__(self, device: torch.device) -> None:
        self._wait = waiting(device)
        self._edge = self._entered = 0.0
        self._row = dict.fromkeys(PARTS, 0.0)
        self.updates: list[dict[str, float]] = []

    def begin(self) -> None:
        """Called before the first batch is read."""
        self._wait()
        self._edge = time.perf_counter()
        self._row = dict.fromkeys(PARTS, 0.0)

    def enter(self, part: str) -> None:
        """A part begins."""
        self._wait()
        self._entered = time.perf_counter()

    def leave(self, part: str) -> None:
        """A part ends."""
        self._wait()
        self._row[part] += time.perf_counter() - self._entered

    def end_update(self) -> None:
        """The time of no part is `other`."""
        self._wait()
        now = time.perf_counter()
        self._row["other"] = now - self._edge - sum(self._row[part] for part in HOOKED)
        self.updates.append(self._row)
        self._edge, self._row = now, dict.fromkeys(PARTS, 0.0)

    def end(self) -> None:
        """Do nothing."""


class MemoryProbe:
    """Memory that the parts of an update hold.

    kept       bytes that the forward pass of one batch keeps for the backward pass, beside the weights
    allocated  part -> most bytes in tensors on the GPU while it ran; empty on a CPU, whose allocator does not count
    """

    def __init__(self, state: TrainState, device: torch.device) -> None:
        self._device = device if device.type == "cuda" else None
        self._own = {storage_of(value)[0] for value in (*state.networks.parameters(), *state.networks.buffers())}
        self._hooks = saved_tensors_hooks(self._pack, lambda tensor: tensor)
        self._storages: dict[int, int] = {}
        self.kept = 0
        self.allocated: dict[str, int] = {}

    def begin(self) -> None:
        """Do nothing."""

    def enter(self, part: str) -> None:
        """A part begins."""
        if self._device is not None:
            torch.cuda.reset_peak_memory_stats(self._device)
        if part == "forward":
            self._storages = {}
            self._hooks.__enter__()

    def leave(self, part: str) -> None:
        """A part ends."""
        if part == "forward":
            self._hooks.__exit__()
            self.kept = max(self.kept, sum(self._storages.values()))
        if self._device is not None:
            peak = torch.cuda.max_memory_allocated(self._device)
            self.allocated[part] = max(self.allocated.get(part, 0), peak)

    def end_update(self) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""

    def _pack(self, tensor: Tensor) -> Tensor:
        place, size = storage_of(tensor)
        if place not in self._own:  # a tensor that several operations keep is there once
            self._storages[place] = size
        return tensor


class Tracer:
    """Every operator, as torch's profiler sees them; `profiler` holds them once the updates are over."""

    def __init__(self, device: torch.device) -> None:
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # read when the first profiler is made; it talks to stderr else
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
        self.profiler = profile(activities=activities, acc_events=True)
        self._wait, self._runs = waiting(device), False
        self._ranges: dict[str, Any] = {}
        self.updates = 0

    def begin(self) -> None:
        """Called before the first batch is read."""
        self._wait()
        self.profiler.start()
        self._runs = True

    def enter(self, part: str) -> None:
        """Name the part in the trace; torch names the optimizer itself, and another thread computes gradients."""
        if part in ("data", "forward"):
            self._ranges[part] = record_function(part)
            self._ranges[part].__enter__()

    def leave(self, part: str) -> None:
        """A part ends."""
        if part in self._ranges:
            self._ranges.pop(part).__exit__(None, None, None)

    def end_update(self) -> None:
        """Count it."""
        self.updates += 1

    def end(self) -> None:
        """The updates are over, or have failed."""
        if self._runs:
            self._wait()
            self.profiler.stop()
            self._runs = False


def waiting(device: torch.device) -> Callable[[], None]:
    """A function that waits until `device` has done all its work; on a CPU, which does it at once, it does nothing."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return torch.mps.synchronize if device.type == "mps" else lambda: None


def storage_of(tensor: Tensor) -> tuple[int, int]:
    """(address, bytes) of the memory behind a tensor."""
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.nbytes()
