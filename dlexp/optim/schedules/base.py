"""The base of learning-rate schedules: a warm-up, then a scheduler.

Symbols: t updates since the end of the warm-up. A factor multiplies the learning rate of every parameter group.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


class PerUpdate(Protocol):
    """A scheduler that sets the rates at every update: one of torch, or `Factor`."""

    last_epoch: int

    def step(self) -> None: ...


class Factor:
    """Multiplies the initial rate of every group by `factor(t)`: a LambdaLR without checks, ten times as fast."""

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float]) -> None:
        self._optimizer, self._factor = optimizer, factor
        self._full = [float(group.setdefault("initial_lr", group["lr"])) for group in optimizer.param_groups]
        self.last_epoch = -1
        self.step()

    def step(self) -> None:
        """Set the rates of the next update."""
        self.last_epoch += 1
        share = self._factor(self.last_epoch)
        for group, full in zip(self._optimizer.param_groups, self._full, strict=True):
            group["lr"] = full * share


class Schedule(ABC):
    """Sets the learning rate of every parameter group after each update and after each epoch."""

    @property
    @abstractmethod
    def follows_a_metric(self) -> bool:
        """Whether the rates depend on the monitored metric, and so are not known before."""

    @abstractmethod
    def step(self) -> None:
        """Call after each update."""

    @abstractmethod
    def epoch_end(self, metric: float) -> None:
        """Call after each epoch with the monitored metric; NaN counts as no improvement."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """The position, as plain values."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, once the optimizer has its own."""


class WarmupSchedule(Schedule):
    """A warm-up, then a scheduler that sets the rates after each update or each epoch.

    In the warm-up, the factor of update t (from 0) is (t + 1) / (warmup + 1); then the scheduler begins. The ratios of
    the rates of parameter groups do not change.

    Args:
        optimizer: The optimizer.
        per_step: Scheduler that is stepped after each update, None for a constant rate.
        warmup_steps: Updates of the warm-up.
        per_epoch: Scheduler that is stepped after each epoch.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        per_step: PerUpdate | None,
        warmup_steps: int,
        per_epoch: ReduceLROnPlateau | None = None,
    ) -> None:
        self._optimizer, self._per_step, self._per_epoch = optimizer, per_step, per_epoch
        self._warmup, self._taken = warmup_steps, 0
        self._full = [float(group["lr"]) for group in optimizer.param_groups]
        if isinstance(per_step, LRScheduler):
            per_step._step_count += 1  # prevents a warning of torch when the fp16 scaler skips the first update
        self._set_warmup_rate()

    @property
    def follows_a_metric(self) -> bool:
        """True if the rates depend on the monitored metric, and are not known in advance."""
        return self._per_epoch is not None

    def step(self) -> None:
        """Call after each update."""
        self._taken += 1
        if self._taken <= self._warmup:
            self._set_warmup_rate()
        elif self._per_step is not None:
            self._per_step.step()

    def epoch_end(self, metric: float) -> None:
        """Call after each epoch with the monitored metric; NaN counts as no improvement."""
        if self._per_epoch is not None and self._taken >= self._warmup:
            self._per_epoch.step(metric)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates and the state of a plateau scheduler; the rest is a function of the former."""
        return {"taken": self._taken, "per_epoch": self._per_epoch.state_dict() if self._per_epoch else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state`, after the optimizer has restored its own; the rates are those of the current run length."""
        self._taken = state["taken"]
        past_warmup = self._taken - self._warmup
        if self._per_step is not None:  # also within the warm-up, since this may be a rollback from after it
            self._per_step.last_epoch = max(past_warmup, 0) - 1
            self._per_step.step()
        if past_warmup <= 0:
            self._set_warmup_rate()
        if self._per_epoch is not None:
            self._per_epoch.load_state_dict(dict(state["per_epoch"]))

    def _set_warmup_rate(self) -> None:
        if self._warmup:
            share = min(1.0, (self._taken + 1) / (self._warmup + 1))
            for group, full in zip(self._optimizer.param_groups, self._full, strict=True):
                group["lr"] = full * share


def after_warmup(optimizer: Optimizer, warmup: int, factor: Callable[[int], float]) -> Schedule:
    """Return a schedule of `warmup` updates of linear warm-up, then `factor(t)` times the rate of each group."""
    return WarmupSchedule(optimizer, Factor(optimizer, factor), warmup)


def warmup_updates(epochs: float, steps: int | None, steps_per_epoch: int, total_steps: int) -> int:
    """Return the number of updates of the warm-up. Raises ValueError if it takes the whole run."""
    found = steps if steps is not None else round(epochs * steps_per_epoch)
    if found >= total_steps:
        remedy = f"Set scheduler.{'warmup_epochs=0' if steps is None else 'warmup_steps=null'}, or more trainer.epochs"
        raise ValueError(f"the warm-up must be shorter than the run: got {found} updates of {total_steps}. {remedy}")
    return found


def refuse_without_momentum(optimizer: Optimizer, name: str) -> None:
    """Raise ValueError for an optimizer whose momentum the schedule `name` cannot change."""
    defaults, remedy = optimizer.defaults, "Set scheduler.cycle_momentum=false"
    if not defaults.get("momentum") and "betas" not in defaults:
        raise ValueError(f"{name} cycles the momentum, which this optimizer does not have. {remedy}")
    if "weight_lr_power" in defaults:  # its average is computed with a constant beta
        raise ValueError(
            f"{name} cycles the first beta, which a schedule-free optimizer requires to be constant. {remedy}"
        )
