"""Periodic learning-rate schedules: warm restarts and cycles. Symbols as in `schedules`."""

from __future__ import annotations

from math import cos, pi

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR

from dlexp.optim.schedules.base import Schedule, WarmupSchedule, after_warmup, refuse_without_momentum, warmup_updates

__all__ = ["cosine_restarts", "cyclic"]

_GAMMA = 0.999  # halves the peaks in about 700 updates


def cosine_restarts(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    period: int = 10,
    period_factor: int = 2,
    unit: str = "epochs",
    min_factor: float = 0.0,
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """Cosine decay with warm restarts (SGDR, Loshchilov & Hutter 2017, arXiv:1608.03983).

    The first cosine lasts `period` epochs or updates (T_0 in the paper), each next one `period_factor` (T_mult) times
    as long. The rate changes at every update, whatever the unit.
    """
    warmup = warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    first = period * (steps_per_epoch if unit == "epochs" else 1)

    def factor(t: int) -> float:
        length = first
        while t >= length and period_factor > 1:  # with integers: rounding of a logarithm would miss the restart
            t, length = t - length, length * period_factor
        return min_factor + (1 - min_factor) * (1 + cos(pi * (t % length) / length)) / 2

    return after_warmup(optimizer, warmup, factor)


def cyclic(
    *,
    optimizer: Optimizer,
    steps_per_epoch: int,
    base_factor: float = 0.1,
    rise: float = 2.0,
    fall: float = 3.0,
    unit: str = "epochs",
    mode: str = "triangular",
    gamma: float = _GAMMA,
    cycle_momentum: bool = True,
) -> Schedule:
    """Cyclical learning rate between `base_factor` times the rate and the full rate (Smith 2017, arXiv:1506.01186).

    Args:
        optimizer: The optimizer.
        steps_per_epoch: Updates of an epoch.
        base_factor: Lowest learning rate, as a factor of the full one.
        rise: Epochs or updates of the rising side of a triangle.
        fall: Epochs or updates of the falling side.
        unit: epochs or steps. The rate changes at every update in both.
        mode: triangular; triangular2, where each peak is half as high above the base; or exp_range, with gamma^t.
        gamma: Base of exp_range.
        cycle_momentum: Decrease the momentum, or the first beta, from 0.9 to 0.8 while the rate rises, and back.

    Raises ValueError for an optimizer without momentum if `cycle_momentum` is true, and for sides below one update.
    """
    if cycle_momentum:
        refuse_without_momentum(optimizer, "cyclic")
    if mode != "exp_range" and gamma != _GAMMA:
        raise ValueError(f"scheduler.gamma={gamma} requires scheduler.mode=exp_range, got {mode}")
    size = steps_per_epoch if unit == "epochs" else 1
    up, down = round(rise * size), round(fall * size)
    if min(up, down) < 1:
        raise ValueError(f"scheduler.rise={rise:g} and scheduler.fall={fall:g} {unit} must each be at least one update")
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    per_step = CyclicLR(
        optimizer,
        base_lr=[rate * base_factor for rate in rates],
        max_lr=rates,
        step_size_up=up,
        step_size_down=down,
        mode=mode,  # type: ignore[arg-type]
        gamma=gamma,
        cycle_momentum=cycle_momentum,
    )
    return WarmupSchedule(optimizer, per_step, 0)
