"""Learning rates over time: torch's schedulers, counted in updates, behind one warm-up.

Every factory gets the optimizer and the length of the run from `assemble`, the rest from the configuration.
"""

from __future__ import annotations

from math import cos, pi
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

__all__ = ["constant", "cosine", "onecycle", "plateau"]


class Schedule:
    """Sets the learning rate of every parameter group after each update and after each epoch.

    While the warm-up lasts, update number t (from 0) runs at (t + 1) / (warmup + 1) of the learning rate; then the
    scheduler behind it begins. Ratios between parameter groups stay as they are.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        per_step: LRScheduler | None,
        warmup_steps: int,
        per_epoch: ReduceLROnPlateau | None = None,
    ) -> None:
        self._optimizer, self._per_step, self._per_epoch = optimizer, per_step, per_epoch
        self._warmup, self._taken = warmup_steps, 0
        self._full = [float(group["lr"]) for group in optimizer.param_groups]
        if per_step is not None:
            per_step._step_count += 1  # else torch warns when the fp16 scaler skips the first update
        self._set_warmup_rate()

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


def constant(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """The same learning rate throughout."""
    return Schedule(optimizer, None, _warmup(warmup_epochs, warmup_steps, steps_per_epoch, total_steps))


def cosine(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    min_factor: float = 0.0,
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """Half a cosine from the learning rate to `min_factor` of it (Loshchilov & Hutter 2017, arXiv:1608.03983).

    Update t of T after the warm-up runs at min + (1 - min) (1 + cos(pi t / T)) / 2 of the learning rate.
    """
    warmup = _warmup(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    length = max(1, total_steps - warmup)

    def factor(t: int) -> float:
        return min_factor + (1 - min_factor) * (1 + cos(pi * min(t, length) / length)) / 2

    return Schedule(optimizer, LambdaLR(optimizer, factor), warmup)  # CosineAnnealingLR's floor ignores group ratios


def onecycle(
    *,
    optimizer: Optimizer,
    total_steps: int,
    max_factor: float = 1.0,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    cycle_momentum: bool = True,
) -> Schedule:
    """Up to `max_factor` times the learning rate, then down to almost nothing (Smith & Topin 2018, arXiv:1708.07120).

    The momentum, or the first beta, falls while the learning rate rises and the other way round.
    Raises ValueError for an optimizer that has neither while `cycle_momentum` is true.
    """
    defaults = optimizer.defaults
    if cycle_momentum and not defaults.get("momentum") and "betas" not in defaults:
        raise ValueError("onecycle turns the momentum, and this optimizer has none; set scheduler.cycle_momentum=false")
    per_step = OneCycleLR(
        optimizer,
        max_lr=[group["lr"] * max_factor for group in optimizer.param_groups],
        total_steps=total_steps + 1,  # torch sets the rate of the first update too
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=cycle_momentum,
    )
    return Schedule(optimizer, per_step, 0)


def plateau(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    maximize: bool,
    factor: float = 0.5,
    patience: int = 5,
    threshold: float = 0.0,
    min_lr: float = 0.0,
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """Multiply the learning rate by `factor` once the monitored metric has not improved for `patience` epochs."""
    per_epoch = ReduceLROnPlateau(
        optimizer,
        mode="max" if maximize else "min",
        factor=factor,
        patience=patience,
        threshold=threshold,
        threshold_mode="abs",
        min_lr=min_lr,
    )
    return Schedule(optimizer, None, _warmup(warmup_epochs, warmup_steps, steps_per_epoch, total_steps), per_epoch)


def _warmup(epochs: float, steps: int | None, steps_per_epoch: int, total_steps: int) -> int:
    """The warm-up in updates. Raises ValueError when it takes the whole run."""
    found = steps if steps is not None else round(epochs * steps_per_epoch)
    if found >= total_steps:
        raise ValueError(f"a warm-up of {found} updates leaves nothing of a run of {total_steps}")
    return found
