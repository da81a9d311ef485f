"""Learning rates over time: torch's schedulers, counted in updates, behind one warm-up.

Every factory gets the optimizer and the length of the run from `assemble`, the rest from the configuration. Schedules
that fall once are here; those that fall in steps are in `steps`, those that rise again in `cycles`.

Symbols: t updates made since the warm-up ended, T updates from there to the end of the run; a factor is what the
learning rate of every parameter group is multiplied by.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, pow, sqrt

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from dlexp.optim.schedules.base import Schedule, WarmupSchedule, after_warmup, refuse_without_momentum, warmup_updates

__all__ = ["constant", "cosine", "linear", "noam", "onecycle", "plateau", "polynomial", "wsd"]


def constant(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """The same learning rate throughout."""
    return WarmupSchedule(optimizer, None, warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps))


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
    warmup = warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    length = max(1, total_steps - warmup)

    def factor(t: int) -> float:
        return min_factor + (1 - min_factor) * (1 + cos(pi * min(t, length) / length)) / 2

    return after_warmup(optimizer, warmup, factor)  # CosineAnnealingLR's floor ignores group ratios


def polynomial(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    power: float = 2.0,
    min_factor: float = 0.0,
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """From the learning rate to `min_factor` of it: min + (1 - min) (1 - t / T)^power.

    `power` 1 is a straight line; above it the rate falls fast and ends slowly (Liu et al. 2015, arXiv:1506.04579).
    """
    warmup = warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    length = max(1, total_steps - warmup)

    def factor(t: int) -> float:
        return min_factor + (1 - min_factor) * pow(1 - min(t, length) / length, power)

    return after_warmup(optimizer, warmup, factor)


def linear(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    min_factor: float = 0.0,
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """A straight line from the learning rate to `min_factor` of it, reached when the run ends."""
    warmup = warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    return polynomial(
        optimizer=optimizer,
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
        power=1.0,
        min_factor=min_factor,
        warmup_steps=warmup,
    )


def noam(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    warmup_epochs: float = 1.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """Rises for W - 1 updates, then falls with the inverse square root (Vaswani et al. 2017, arXiv:1706.03762).

    Update n, from 1, runs at min(n / W, sqrt(W / n)) of the learning rate, W one more than the updates of the warm-up.
    The paper's rate is that of `optim.lr` = (d W)^-0.5 for a model of width d; here the peak is said, not derived.
    """
    warmup = warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    return after_warmup(optimizer, warmup, lambda t: sqrt((warmup + 1) / (warmup + 1 + t)))


def wsd(
    *,
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    decay_share: float = 0.2,
    decay_shape: str = "sqrt",
    min_factor: float = 0.0,
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
) -> Schedule:
    """Warm-up, a stable rate, and a decay over the last `decay_share` of the run (Hu et al. 2024, arXiv:2404.06395).

    With s from 0 to 1 over the decay, the rate is min + (1 - min) d(s): d is 1 - sqrt(s), 1 - s or (1 + cos(pi s)) / 2
    for the shapes sqrt, linear and cosine. The first did best in Haegele et al. 2024 (arXiv:2405.18392).
    """
    warmup = warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    length = min(max(1, round(decay_share * total_steps)), total_steps - warmup)
    begin = total_steps - warmup - length
    shapes: dict[str, Callable[[float], float]] = {
        "sqrt": lambda s: 1 - sqrt(s),
        "linear": lambda s: 1 - s,
        "cosine": lambda s: (1 + cos(pi * s)) / 2,
    }
    shape = shapes[decay_shape]

    def factor(t: int) -> float:
        return min_factor + (1 - min_factor) * shape(min(max(t - begin, 0), length) / length)

    return after_warmup(optimizer, warmup, factor)


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
    if cycle_momentum:
        refuse_without_momentum(optimizer, "onecycle")
    per_step = OneCycleLR(
        optimizer,
        max_lr=[group["lr"] * max_factor for group in optimizer.param_groups],
        total_steps=total_steps + 1,  # torch sets the rate of the first update too
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=cycle_momentum,
    )
    return WarmupSchedule(optimizer, per_step, 0)


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
    """Multiply the learning rate by `factor` once the monitored metric has not improved for `patience` epochs.

    min_lr  the first parameter group's rate never falls below it, the others' at their ratio to it
    """
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    per_epoch = ReduceLROnPlateau(
        optimizer,
        mode="max" if maximize else "min",
        factor=factor,
        patience=patience,
        threshold=threshold,
        threshold_mode="abs",
        min_lr=[min_lr * rate / rates[0] for rate in rates],
        eps=0.0,  # torch would leave rates alone that change by less than 1e-8, and so the ratio of small ones
    )
    return WarmupSchedule(
        optimizer, None, warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps), per_epoch
    )
