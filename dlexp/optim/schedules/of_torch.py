"""Schedulers of torch.optim.lr_scheduler as schedules of a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CyclicLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from dlexp.optim.schedules.base import Schedule

_PER_UPDATE = (CyclicLR, OneCycleLR)  # torch documents these two for each batch, and all others for each epoch


class TorchSchedule(Schedule):
    """A scheduler of torch, stepped as torch documents it: after each update, each epoch, or with the metric.

    Args:
        scheduler: The scheduler.
        steps_per_epoch: Updates of an epoch.
    """

    def __init__(self, scheduler: LRScheduler, steps_per_epoch: int) -> None:
        self._scheduler, self._taken = scheduler, 0
        self._every = 1 if isinstance(scheduler, _PER_UPDATE) else steps_per_epoch
        for one in _single(scheduler):
            one._step_count += 1  # prevents a warning of torch when the fp16 scaler skips the first update

    @property
    def follows_a_metric(self) -> bool:
        """True for ReduceLROnPlateau."""
        return isinstance(self._scheduler, ReduceLROnPlateau)

    def step(self) -> None:
        """Call after each update."""
        self._taken += 1
        if not self.follows_a_metric and self._taken % self._every == 0:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The epoch parameter", UserWarning)  # SequentialLR's own use of it
                self._scheduler.step()

    def epoch_end(self, metric: float) -> None:
        """Call after each epoch with the monitored metric."""
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(metric)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates and the state of the scheduler."""
        return {"taken": self._taken, "scheduler": self._scheduler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state`, after the optimizer has restored its own, which holds the rates."""
        self._taken = state["taken"]
        self._scheduler.load_state_dict(dict(state["scheduler"]))


def _single(scheduler: LRScheduler) -> Iterator[LRScheduler]:
    """The schedulers that a scheduler is put together from, or itself; none for one that follows a metric."""
    if isinstance(scheduler, SequentialLR | ChainedScheduler):
        for part in scheduler._schedulers:
            yield from _single(part)
    elif not isinstance(scheduler, ReduceLROnPlateau):
        yield scheduler


def as_schedule(built: object, steps_per_epoch: int, maximize: bool) -> Schedule:
    """Return what a scheduler option built as a Schedule.

    Args:
        built: A Schedule, or a scheduler of torch.
        steps_per_epoch: Updates of an epoch.
        maximize: Whether the best value of the monitored metric is the largest.

    Raises TypeError for anything else, ValueError for a ReduceLROnPlateau of the other direction.
    """
    if isinstance(built, Schedule):
        return built
    if not isinstance(built, LRScheduler):
        rule = f"must be a Schedule of dlexp or a scheduler of torch.optim.lr_scheduler, got {type(built).__name__}"
        raise TypeError(rule)
    mode = "max" if maximize else "min"
    if isinstance(built, ReduceLROnPlateau) and built.mode != mode:
        raise ValueError(f"mode must be {mode}, the direction of the monitored metric. Set +scheduler.mode={mode}")
    return TorchSchedule(built, steps_per_epoch)
