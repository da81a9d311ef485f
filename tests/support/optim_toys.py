"""A small optimizer, and the rates that a schedule gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dlexp.optim.schedules.base import Schedule

LR, STEPS, PER_EPOCH = 0.2, 20, 5
Make = Callable[[torch.optim.Optimizer], Schedule]


def optimizer(lr: float = LR, ratio: float = 1.0) -> torch.optim.SGD:
    """Two parameter groups, the second at `ratio` times the rate of the first."""
    first: dict[str, Any] = {"params": [nn.Parameter(torch.zeros(1))]}
    second: dict[str, Any] = {"params": [nn.Parameter(torch.zeros(1))], "lr": lr * ratio}
    return torch.optim.SGD([first, second], lr=lr, momentum=0.9)


def rates(opt: torch.optim.Optimizer, schedule: Schedule, steps: int = STEPS, metric: float = 1.0) -> list[float]:
    """The rate of each update of a run."""
    found = []
    for number in range(1, steps + 1):
        found.append(opt.param_groups[0]["lr"])
        one(opt, schedule, number, metric)
    return found


def one(opt: torch.optim.Optimizer, schedule: Schedule, number: int, metric: float = 1.0) -> None:
    """An update, and the end of its epoch where it is the last one."""
    opt.step()
    schedule.step()
    if number % PER_EPOCH == 0:
        schedule.epoch_end(metric)
