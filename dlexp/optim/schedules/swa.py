"""The learning-rate schedule of stochastic weight averaging: another schedule, then a constant rate."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from dlexp.optim.schedules.base import Schedule


class SwaSchedule(Schedule):
    """Another schedule up to an update, then a constant rate.

    Args:
        inner: The other schedule.
        optimizer: The optimizer.
        first_update: First update, counted from 0, with the constant rate.
        lr: The constant rate of the first parameter group; the other groups keep their ratio to it.
    """

    def __init__(self, inner: Schedule, optimizer: Optimizer, first_update: int, lr: float) -> None:
        self._inner, self._optimizer, self._first = inner, optimizer, first_update
        full = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
        self._rates = [lr * rate / full[0] for rate in full]
        self._made = 0
        self._hold()

    @property
    def follows_a_metric(self) -> bool:
        """True where the schedule up to there follows one."""
        return self._inner.follows_a_metric

    def step(self) -> None:
        """Call after each update."""
        self._inner.step()
        self._made += 1
        self._hold()

    def epoch_end(self, metric: float) -> None:
        """Call after each epoch with the monitored metric."""
        self._inner.epoch_end(metric)
        self._hold()

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates and the state of the other schedule."""
        return {"made": self._made, "inner": self._inner.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state`, after the optimizer has restored its own."""
        self._inner.load_state_dict(state["inner"])
        self._made = state["made"]
        self._hold()

    def _hold(self) -> None:
        if self._made >= self._first:
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate
