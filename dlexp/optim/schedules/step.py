"""Step schedules of the learning rate, by epochs or updates. Symbols as in `schedules`.

Epochs of a schedule are epochs of the run: the rate changes between two epochs, also after a warm-up that ends within
an epoch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from torch.optim import Optimizer

from dlexp.optim.schedules.base import Schedule, after_warmup, warmup_updates

__all__ = ["exponential", "multistep", "step"]


def step(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    step_size: int = 10,
    gamma: float = 0.1,
    unit: str = "epochs",
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """Multiply the learning rate by `gamma` every `step_size` units: gamma^floor(n / step_size).

    n is the number of epochs or updates since the one in which the warm-up ended.
    """
    warmup = warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    count = _counter(unit, warmup, steps_per_epoch)
    return after_warmup(optimizer, warmup, lambda t: gamma ** (count(t) // step_size))


def multistep(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    milestones: Sequence[int] = (15, 25),
    gamma: float = 0.1,
    unit: str = "epochs",
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """Multiply the learning rate by `gamma` after each of the `milestones`, epochs or updates of the run.

    Milestones count from the beginning of the run, including the warm-up. Raises ValueError unless they increase.
    """
    if list(milestones) != sorted(set(milestones)):
        raise ValueError(f"scheduler.milestones={list(milestones)} must be strictly increasing")
    warmup = warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    size = steps_per_epoch if unit == "epochs" else 1
    return after_warmup(optimizer, warmup, lambda t: gamma ** bisect_right(milestones, (t + warmup) // size))


def exponential(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    gamma: float = 0.9,
    unit: str = "epochs",
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """Multiply the learning rate by `gamma` after every epoch, or after every update: gamma^n, n as for `step`."""
    warmup = warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    count = _counter(unit, warmup, steps_per_epoch)
    return after_warmup(optimizer, warmup, lambda t: gamma ** count(t))


def _counter(unit: str, warmup: int, steps_per_epoch: int) -> Callable[[int], int]:
    """Return a function of t: the number of epochs or updates since the one in which the warm-up ended."""
    if unit == "steps":
        return lambda t: t
    first = warmup // steps_per_epoch
    return lambda t: (t + warmup) // steps_per_epoch - first
