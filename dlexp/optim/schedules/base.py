"""A learning rate over time: the interface of all schedules, and the one that begins with a warm-up.

Symbols: t updates made since the warm-up ended; a factor is what the learning rate of every parameter group is
multiplied by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


class PerUpdate(Protocol):
    """Sets the rates update by update: a scheduler of torch's, or `Factor`."""

    last_epoch: int

    def step(self) -> None: ...


class Factor:
    """Sets the rate of every group to `factor(t)` of its own: LambdaLR, at a tenth of what its checks cost a step."""

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float]) -> None:
        self._optimizer, self._factor = optimizer, factor
        self._full = [float(group.setdefault("initial_lr", group["lr"])) for group in optimizer.param_groups]
        self.last_epoch = -1
        self.step()

    def step(self) -> None:
        """The rates of the next update."""
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

    While the warm-up lasts, update number t (from 0) runs at (t + 1) / (warmup + 1) of the learning rate; then the
    scheduler behind it begins. Ratios between parameter groups stay as they are.
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
            per_step._step_count += 1  # else torch warns when the fp16 scaler skips the first update
        self._set_warmup_rate()

    @property
    def follows_a_metric(self) -> bool:
        """True behind a plateau scheduler."""
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
        """Updates taken, and what a plateau has seen; the rest is a function of the first."""
        return {"taken": self._taken, "per_epoch": self._per_epoch.state_dict() if self._per_epoch else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, once the optimizer has its own; a run made longer gets the rates of its new length."""
        self._taken = state["taken"]
        past_warmup = self._taken - self._warmup
        if self._per_step is not None:  # before the warm-up is over too: this may be a return from further on
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
    """`warmup` updates of rise, then `factor(t)` times the learning rate of each group."""
    return WarmupSchedule(optimizer, Factor(optimizer, factor), warmup)


def warmup_updates(epochs: float, steps: int | None, steps_per_epoch: int, total_steps: int) -> int:
    """The warm-up in updates. Raises ValueError when it takes the whole run."""
    found = steps if steps is not None else round(epochs * steps_per_epoch)
    if found >= total_steps:
        raise ValueError(f"a warm-up of {found} updates leaves nothing of a run of {total_steps}")
    return found


def refuse_without_momentum(optimizer: Optimizer, name: str) -> None:
    """Raises ValueError, with what to set, for an optimizer whose momentum `name` cannot turn."""
    defaults, remedy = optimizer.defaults, "set scheduler.cycle_momentum=false"
    if not defaults.get("momentum") and "betas" not in defaults:
        raise ValueError(f"{name} turns the momentum, and this optimizer has none; {remedy}")
    if "weight_lr_power" in defaults:  # the weights it averages are found with the beta that they were made with
        raise ValueError(f"{name} turns the first beta, and a schedule-free optimizer averages with it; {remedy}")
