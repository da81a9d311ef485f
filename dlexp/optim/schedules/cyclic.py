"""Learning rates that rise again: warm restarts and cycles. Symbols as in `schedules`."""

from __future__ import annotations

from math import cos, pi

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR

from dlexp.optim.schedules.base import Schedule, WarmupSchedule, after_warmup, refuse_without_momentum, warmup_updates

__all__ = ["cosine_restarts", "cyclic"]

_GAMMA = 0.999  # a peak is half as high after about 700 updates


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
    """Half cosines, each from the full rate again (SGDR, Loshchilov & Hutter 2017, arXiv:1608.03983).

    The first lasts `period` epochs or updates (T_0 in the paper), each next one `period_factor` (T_mult) times as long;
    every update has a rate of its own, whatever the unit.
    """
    warmup = warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    first = period * (steps_per_epoch if unit == "epochs" else 1)

    def factor(t: int) -> float:
        length = first
        while t >= length and period_factor > 1:  # in whole numbers: a logarithm misses the restart by a rounding
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
    """Up and down between `base_factor` of the learning rate and all of it (Smith 2017, arXiv:1506.01186).

    rise, fall  epochs or updates of the two sides of a triangle; every update has a rate of its own
    mode        triangular; triangular2, each peak half as high above the base; or exp_range, gamma^t as high
    The momentum, or the first beta, falls from 0.9 to 0.8 while the rate rises, and back.
    Raises ValueError for an optimizer that has neither while `cycle_momentum` is true, and for sides below an update.
    """
    if cycle_momentum:
        refuse_without_momentum(optimizer, "cyclic")
    if mode != "exp_range" and gamma != _GAMMA:
        raise ValueError(f"scheduler.gamma={gamma} is for scheduler.mode=exp_range, and the mode is {mode}")
    size = steps_per_epoch if unit == "epochs" else 1
    up, down = round(rise * size), round(fall * size)
    if min(up, down) < 1:
        raise ValueError(f"scheduler.rise={rise:g} and scheduler.fall={fall:g} {unit} must be an update long, each")
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
