"""A schedule that ends in the constant learning rate of stochastic weight averaging."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from dlexp.optim.schedules.base import Schedule


class SwaSchedule(Schedule):
    """Another schedule up to an update, then a constant rate; parameter groups keep their ratios.

    Args:
        inner: The schedule up to there.
        optimizer: The optimizer whose rates are set.
        first_update: The first update, counted from 0, that is made at `lr`.
        lr: Learning rate of the first parameter group from there on.
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
        """Updates made, and the state of the other schedule."""
        return {"made": self._made, "inner": self._inner.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, once the optimizer has its own."""
        self._inner.load_state_dict(state["inner"])
        self._made = state["made"]
        self._hold()

    def _hold(self) -> None:
        if self._made >= self._first:
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate
