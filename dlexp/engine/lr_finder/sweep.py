"""The sweep behind `dlexp lr-find`: the task's own updates on a copy of everything, each at a higher rate.

All phases' optimizers and all their parameter groups rise together, by one factor, so that their ratios stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from dlexp.engine.best_epoch import BestSoFar
from dlexp.engine.evaluate import evaluate
from dlexp.engine.loop import group_batches
from dlexp.engine.lr_finder.suggestion import Array, has_diverged
from dlexp.engine.state import EpochSums, TrainState
from dlexp.engine.step import StepRules, train_step
from dlexp.errors import ConfigError, Diverged, DlexpError, Interrupted
from dlexp.optim.schedules.base import Schedule, WarmupSchedule
from dlexp.runtime.seed import derive, kept_randomness, seed_step
from dlexp.runtime.signals import StopRequest
from dlexp.tasks.base import Task
from dlexp.types import Batch, TrainingData

_MAX_SKIPPED = 32  # in a row: the fp16 scale has then fallen by 2**32, and no scale is small enough
_STATISTICS_BATCHES = 50  # batches: with torch's momentum of 0.1, half a per cent of a first running mean is then left
_CHECKS = 100  # how often at most the curve so far is looked at


@dataclass(frozen=True)
class SweepPoint:
    """One applied update.

    rate       the learning rate of the first parameter group
    loss       of the update's own samples before it, summed over the phases that run in every update; or of the
               validation subset after it
    grad_norm  norm of the whole gradient as the optimizers applied it, so after clipping
    skipped    updates that the fp16 scaler dropped at this rate before this one
    """

    rate: float
    loss: float
    grad_norm: float
    skipped: int


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep is given beside the state.

    steps     points from min_lr to max_lr, both included
    val       batches to take the loss on after each update; None takes that of the update itself
    on_point  told the number of points so far and the newest
    """

    task: Task
    train: TrainingData
    rules: StepRules
    accumulate: int
    min_lr: float
    max_lr: float
    steps: int
    val: Sequence[Batch] | None = None
    on_point: Callable[[int, SweepPoint], None] = lambda number, point: None

    def rate(self, number: int) -> float:
        """The rate of point `number`, from 0."""
        return float(self.min_lr * (self.max_lr / self.min_lr) ** (number / (self.steps - 1)))


@dataclass(frozen=True)
class Sweep:
    """The points of a sweep and why it ended.

    groups    `phase.number` of each parameter group -> its rate as a multiple of the first one's
    diverged  whether it ended because the loss rose or was not finite
    """

    points: tuple[SweepPoint, ...]
    groups: Mapping[str, float]
    reason: str
    diverged: bool

    @property
    def x(self) -> Array:
        """(N,) log10 of the rates."""
        return np.log10([point.rate for point in self.points])

    @property
    def y(self) -> Array:
        """(N,) the losses."""
        return np.array([point.loss for point in self.points], dtype=np.float64)


def run_sweep(plan: SweepPlan, state: TrainState, stop: StopRequest) -> Sweep:
    """Make updates on a copy of `state` while the rate rises, until the range ends or the loss diverges.

    `state`, the task and every generator are afterwards as they were before, to the bit, also when this raises.
    Raises Interrupted, with nothing to save, when `stop` becomes true; DlexpError for what cannot be copied.
    """
    with kept_randomness():
        task, trial = _copied(plan.task, state)
        rates, norm = _Rates(trial.optimizers), _GradientNorm(trial.optimizers)
        rules = replace(plan.rules, check_every_step=True)  # the loss is read after each update anyway
        trial.train_mode()
        if plan.val is not None:
            _update_statistics(plan, task, trial)
        points: list[SweepPoint] = []
        skipped = 0

        def ended(reason: str, diverged: bool) -> Sweep:
            return Sweep(tuple(points), rates.ratios, reason, diverged)

        for micro_batches in _endless(plan, trial):
            rate, scale = plan.rate(len(points)), trial.scaler.get_scale()
            rates.set(rate)
            norm.clear()
            trial.sums = EpochSums()
            try:
                train_step(task, trial, micro_batches, rules)
                loss = _loss(plan, task, trial)
            except Diverged:
                return ended(f"diverged at lr={rate:.3g}: the loss was not finite", True)
            if stop:
                raise Interrupted(f"{stop.name} received; the sweep was dropped, nothing was changed", stop.exit_code)
            if trial.scaler.get_scale() < scale:
                skipped += 1
                if skipped == _MAX_SKIPPED:
                    return ended(f"diverged at lr={rate:.3g}: the gradient overflows fp16 at every scale", True)
                continue
            points.append(SweepPoint(rate, loss, norm.value(), skipped))
            skipped = 0
            plan.on_point(len(points), points[-1])
            if len(points) == plan.steps:
                return ended(f"swept to lr={rate:.3g}", False)
            if len(points) % max(1, plan.steps // _CHECKS) == 0:
                so_far = ended("", False)
                if has_diverged(so_far.x, so_far.y):
                    return ended(f"diverged at lr={rate:.3g}: the loss rose further than it had fallen", True)
    raise AssertionError("an endless iterator ended")


def _copied(task: Task, state: TrainState) -> tuple[Task, TrainState]:
    """Task and state as one copy, so that what refers to each other still does; its schedules do nothing."""
    try:
        parts: Any = (task, state.networks, state.optimizers, state.scaler)
        task, networks, optimizers, scaler = deepcopy(parts)
    except (RuntimeError, TypeError) as error:
        raise DlexpError(
            f"lr-find requires a model and a task that can be copied: {error}", code="not-supported"
        ) from error
    constant: dict[str, Schedule] = {name: WarmupSchedule(part, None, 0) for name, part in optimizers.items()}
    best, freezing = BestSoFar(False), state.freezing
    return task, TrainState(networks, optimizers, constant, scaler, best, freezing=freezing, epoch=state.epoch)


def _endless(plan: SweepPlan, trial: TrainState) -> Iterator[list[Batch]]:
    """The windows of one epoch after another."""
    while True:
        micro_batches = None
        for micro_batches in group_batches(plan.train.epoch(trial.epoch), plan.accumulate):
            yield micro_batches
        if micro_batches is None:
            raise DlexpError("the training split has no batch to sweep over", code="too-few-samples")
        trial.finish_epoch()


def _update_statistics(plan: SweepPlan, task: Task, trial: TrainState) -> None:
    """Let running statistics reach what the weights give; else their first steps would pass for learning."""
    if next(iter(trial.networks.buffers()), None) is None:
        return
    done = 0
    with torch.no_grad():
        while done < _STATISTICS_BATCHES:
            for batch in islice(plan.train.epoch(trial.epoch), _STATISTICS_BATCHES - done):
                # The purpose of a draw is part of its seed: another word here would change the recorded learning rates.
                seed_step(derive(plan.rules.seed, "settle", done))
                for phase in task.phases:
                    with plan.rules.precision.autocast():
                        task.loss(phase, dict(trial.networks.items()), batch)
                done += 1
            if not done:
                return


def _loss(plan: SweepPlan, task: Task, trial: TrainState) -> float:
    """The loss of a point. Raises Diverged when it is not finite."""
    if plan.val is None:
        means = trial.sums.means()
        every_update = [name for name, phase in task.phases.items() if phase.every == 1]
        loss = sum(means[f"{name}_loss" if len(task.phases) > 1 else "loss"] for name in every_update)
    else:
        with trial.eval_weights():
            metrics = evaluate(task, trial.networks, plan.val, plan.rules.precision, seed=plan.rules.seed).metrics
        if "loss" not in metrics:
            rule = f"requires a task with a metric loss; this one has {', '.join(metrics)}"
            raise ConfigError.one("--loss", "val", rule, "Use --loss train", code="not-supported")
        loss = metrics["loss"]
    if not math.isfinite(loss):
        raise Diverged(f"the loss became {loss}")
    return loss


class _Rates:
    """Sets the rate of every parameter group of every phase, keeping their ratios."""

    def __init__(self, optimizers: Mapping[str, Optimizer]) -> None:
        self._groups = {
            f"{phase}.{number}": group
            for phase, optimizer in optimizers.items()
            for number, group in enumerate(optimizer.param_groups)
        }
        # A schedule writes the rate that it starts from beside the one that it has set.
        full = {name: float(group.get("initial_lr", group["lr"])) for name, group in self._groups.items()}
        first = next(iter(full.values()))
        if first <= 0:
            raise DlexpError(
                f"the learning rate of the first parameter group must be above 0, got {first:g}", code="out-of-range"
            )
        self.ratios: dict[str, float] = {name: rate / first for name, rate in full.items()}

    def set(self, rate: float) -> None:
        """Let the first group run at `rate`."""
        for name, group in self._groups.items():
            if isinstance(group["lr"], Tensor):  # a capturable optimizer reads it on the device
                group["lr"].fill_(rate * self.ratios[name])
            else:
                group["lr"] = rate * self.ratios[name]


class _GradientNorm:
    """The norm over all gradients that the optimizers of one update applied; stays on the device until it is read."""

    def __init__(self, optimizers: Mapping[str, Optimizer]) -> None:
        self._squares: list[Tensor] = []
        for optimizer in optimizers.values():
            optimizer.register_step_pre_hook(self._before_step)

    def clear(self) -> None:
        """Forget the last update."""
        self._squares = []

    def value(self) -> float:
        """The norm."""
        return math.sqrt(sum(float(square) for square in self._squares))

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if gradients:
            scale = getattr(optimizer, "grad_scale", None)  # a fused optimizer divides by it on its own
            square = torch.stack(torch._foreach_norm(gradients)).double().square().sum()
            self._squares.append(square if scale is None else square / scale.double().square())
