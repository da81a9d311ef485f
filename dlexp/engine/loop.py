"""Training: the one loop. Read top to bottom, it is the order in which things happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from dlexp.engine.evaluate import StoppedInEvaluation, evaluate
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules, train_step
from dlexp.errors import Diverged, Interrupted
from dlexp.runtime.signals import StopRequest
from dlexp.tasks.base import Task
from dlexp.types import Batch

T = TypeVar("T")


@dataclass(frozen=True)
class StepRecord:
    """An update was made. `means` reads the running means from the device, so ask only when they are shown."""

    epoch: int
    batch: int
    num_batches: int
    step: int
    samples: int
    learning_rate: float
    means: Callable[[], dict[str, float]]


@dataclass(frozen=True)
class EpochRecord:
    """An epoch ended: its means over the training samples, the metrics over the validation split, and its pace.

    values  column name -> value: epoch, step, lr, train/..., val/..., seconds, samples_per_s
    """

    epoch: int
    epochs: int
    values: dict[str, float | int]
    is_best: bool
    monitor: str


Observer = Callable[[StepRecord | EpochRecord], None]


class TrainingData(Protocol):
    """Batches of an epoch, from any batch on; the same ones each time."""

    @property
    def num_samples(self) -> int: ...

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]: ...


class Checkpoints(Protocol):
    """Where states go; a store on disk, or one that keeps less."""

    def save_last(self, state: Mapping[str, Any]) -> None: ...

    def save_best(self, state: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class FitPlan:
    """What `fit` is given beside the state: data, rules and how long."""

    task: Task
    train: TrainingData
    val: Iterable[Batch]
    rules: StepRules
    epochs: int
    accumulate: int
    monitor: str
    save_every_steps: int | None = None
    observers: Sequence[Observer] = field(default_factory=tuple)


def fit(plan: FitPlan, state: TrainState, checkpoints: Checkpoints, stop: StopRequest) -> str:
    """Train from where `state` stands to the last epoch; returns why it ended.

    Raises Interrupted, with everything saved, when `stop` becomes true; Diverged when a loss is not finite.
    """
    state.networks.train()
    if state.epoch and state.best.exhausted:
        return _patience_text(state)
    while state.epoch < plan.epochs:
        started = time.perf_counter()
        samples_before = state.sums.count
        _train_epoch(plan, state, checkpoints, stop)
        seconds = time.perf_counter() - started
        # The means are read before anything is saved: a loss that went wrong on a GPU is seen here at the latest.
        means = state.sums.means()
        _refuse_nonfinite(means, state)
        try:
            evaluation = evaluate(
                plan.task, state.networks, plan.val, plan.rules.precision, should_stop=lambda: bool(stop)
            )
        except StoppedInEvaluation:
            # The position says that every batch is taken and the epoch is open: resuming evaluates first.
            raise _saved_and_stopped(state, checkpoints, stop) from None
        metrics = {f"train/{k}": v for k, v in means.items()} | {f"val/{k}": v for k, v in evaluation.metrics.items()}
        pace = {"seconds": seconds, "samples_per_s": (state.sums.count - samples_before) / seconds}
        learning_rate = state.sums.learning_rate
        for schedule in state.schedules.values():
            schedule.epoch_end(metrics[plan.monitor])
        is_best = state.best.update(metrics[plan.monitor], state.epoch + 1)
        state.finish_epoch()
        values = {"epoch": state.epoch, "step": state.step, "lr": learning_rate, **metrics, **pace}
        # Observers write the epoch's row first: a kill between the two repeats the epoch, row and all, and loses none.
        _observe(plan, EpochRecord(state.epoch, plan.epochs, values, is_best, plan.monitor))
        if is_best:
            checkpoints.save_best(_weights(state, evaluation.metrics))
        checkpoints.save_last(state.state_dict())
        if state.best.exhausted:
            return _patience_text(state)
        if stop and state.epoch < plan.epochs:
            raise _stopped(state, stop)
    return f"all {plan.epochs} epochs done"


def _train_epoch(plan: FitPlan, state: TrainState, checkpoints: Checkpoints, stop: StopRequest) -> None:
    """The updates of an epoch that are still to be made."""
    num_batches = len(plan.train)
    for window in windows(plan.train.epoch(state.epoch, state.batch), plan.accumulate):
        train_step(plan.task, state, window, plan.rules)
        record = StepRecord(
            state.epoch + 1,
            state.batch,
            num_batches,
            state.step,
            state.sums.count,
            state.sums.learning_rate,
            state.sums.means,
        )
        _observe(plan, record)
        if stop:
            _refuse_nonfinite(state.sums.means(), state)
            raise _saved_and_stopped(state, checkpoints, stop)
        if plan.save_every_steps and state.step % plan.save_every_steps == 0 and state.batch < num_batches:
            _refuse_nonfinite(state.sums.means(), state)
            checkpoints.save_last(state.state_dict())


def windows(batches: Iterator[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of `size`; the last may be shorter."""
    while window := list(islice(batches, size)):
        yield window


def _observe(plan: FitPlan, record: StepRecord | EpochRecord) -> None:
    for observer in plan.observers:
        observer(record)


def _weights(state: TrainState, metrics: dict[str, float]) -> dict[str, object]:
    position = {"epoch": state.epoch, "batch": 0, "step": state.step}
    return {"networks": state.networks.state_dict(), "position": position, "metrics": metrics}


def _refuse_nonfinite(means: dict[str, float], state: TrainState) -> None:
    wrong = [f"{name}={value}" for name, value in means.items() if value - value != 0]
    if wrong or not _finite(state.networks):
        what = ", ".join(wrong) or "a weight is not finite"
        raise Diverged(
            f"training diverged in epoch {state.epoch + 1} ({what}, update {state.step}); "
            "the last checkpoint is from before it; try a smaller optim.lr or trainer.clip_norm=1.0"
        )


def _finite(networks: nn.Module) -> bool:
    """Whether every weight is finite: one norm over all of them, read once."""
    weights = [p.detach() for p in networks.parameters() if p.is_floating_point()]
    return bool(torch.isfinite(torch.stack(torch._foreach_norm(weights)).sum())) if weights else True


def _saved_and_stopped(state: TrainState, checkpoints: Checkpoints, stop: StopRequest) -> Interrupted:
    checkpoints.save_last(state.state_dict())
    return _stopped(state, stop)


def _stopped(state: TrainState, stop: StopRequest) -> Interrupted:
    where = f"epoch {state.epoch + 1}, batch {state.batch}" if state.batch else f"the end of epoch {state.epoch}"
    return Interrupted(f"{stop.name} received; saved at {where}", stop.exit_code)


def _patience_text(state: TrainState) -> str:
    best = f"{state.best.value:.4g} in epoch {state.best.epoch}" if state.best.value is not None else "none"
    return f"stopped early after epoch {state.epoch}: no improvement for {state.best.waited} epochs (best {best})"
