"""Learning-rate schedules with a smooth decay, counted in updates, after an optional warm-up.

Optimizer and length of the run are run-time arguments; the others are configured. Step schedules are in `steps`,
periodic ones in `cycles`.

Symbols: t updates since the end of the warm-up, T updates from there to the end of the run. A factor multiplies the
learning rate of every parameter group.
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
    """A constant learning rate."""
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
    """Cosine decay from the learning rate to `min_factor` times it (Loshchilov & Hutter 2017, arXiv:1608.03983).

    The factor is min + (1 - min) (1 + cos(pi t / T)) / 2.
    """
    warmup = warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps)
    length = max(1, total_steps - warmup)

    def factor(t: int) -> float:
        return min_factor + (1 - min_factor) * (1 + cos(pi * min(t, length) / length)) / 2

    return after_warmup(optimizer, warmup, factor)  # the minimum of CosineAnnealingLR ignores the ratios of groups


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
    """Polynomial decay (Liu et al. 2015, arXiv:1506.04579): the factor is min + (1 - min) (1 - t / T)^power.

    `power` 1 is linear; with larger values the rate falls faster at first and more slowly at the end.
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
    """Linear decay from the learning rate to `min_factor` times it at the end of the run."""
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
    """Linear warm-up of W - 1 updates, then inverse square root decay (Vaswani et al. 2017, arXiv:1706.03762).

    The factor of update n, from 1, is min(n / W, sqrt(W / n)), where W is the number of warm-up updates plus one. The
    paper's schedule for a model of width d has `optim.lr` = (d W)^-0.5; here `optim.lr` is the peak.
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

    With s from 0 to 1 over the decay, the factor is min + (1 - min) d(s), where d is 1 - sqrt(s), 1 - s or
    (1 + cos(pi s)) / 2 for the shapes sqrt, linear and cosine; sqrt was best in Haegele et al. 2024 (arXiv:2405.18392).
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
    """One cycle (Smith & Topin 2018, arXiv:1708.07120): up to `max_factor` times the rate, then down to near 0.

    The momentum, or the first beta, changes in the opposite direction. Raises ValueError for an optimizer without
    momentum if `cycle_momentum` is true.
    """
    if cycle_momentum:
        refuse_without_momentum(optimizer, "onecycle")
    per_step = OneCycleLR(
        optimizer,
        max_lr=[group["lr"] * max_factor for group in optimizer.param_groups],
        total_steps=total_steps + 1,  # torch also sets the rate of the first update
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
    """Multiply the learning rate by `factor` when the monitored metric has not improved for `patience` epochs.

    Args:
        optimizer: The optimizer.
        total_steps: Updates of the run.
        steps_per_epoch: Updates of an epoch.
        maximize: Whether larger values of the metric are better.
        factor: Factor of the learning rate on a plateau.
        patience: Epochs without improvement.
        threshold: Smallest change that counts as an improvement, in units of the metric.
        min_lr: Smallest rate of the first parameter group; the other groups keep their ratio to it.
        warmup_epochs: Epochs of the warm-up.
        warmup_steps: Updates of the warm-up, instead of epochs.
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
        eps=0.0,  # with torch's 1e-8, small rates would not change, and ratios would
    )
    return WarmupSchedule(
        optimizer, None, warmup_updates(warmup_epochs, warmup_steps, steps_per_epoch, total_steps), per_epoch
    )
