"""Training: the one loop. Read top to bottom, it is the order in which things happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, TypeVar

from dlexp.engine.evaluate import StoppedInEvaluation, evaluate
from dlexp.engine.norm_statistics import measure_statistics
from dlexp.engine.recovery import Guard, Rewound, Watch
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules
from dlexp.errors import Diverged, Interrupted
from dlexp.runtime.signals import StopRequest
from dlexp.tasks.base import Task
from dlexp.types import Batch, TrainingData

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


class Checkpoints(Protocol):
    """Where states go; a store on disk, or one that keeps less.

    best  what to keep of the best epoch, when `state` is its end; its tensors are those of `state`, so that one copy
          serves for both
    """

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None: ...


@dataclass(frozen=True)
class FitPlan:
    """What `fit` is given beside the state: data, rules and how long.

    statistics  the training samples as running statistics are measured on them, None for those of `train`
    """

    task: Task
    train: TrainingData
    val: Iterable[Batch]
    rules: StepRules
    epochs: int
    accumulate: int
    monitor: str
    save_every_steps: int | None = None
    observers: Sequence[Observer] = field(default_factory=tuple)
    watch: Watch = field(default_factory=Watch)
    statistics: TrainingData | None = None


def fit(plan: FitPlan, state: TrainState, checkpoints: Checkpoints, stop: StopRequest) -> str:
    """Train from where `state` stands to the last epoch; returns why it ended.

    Raises Interrupted, with everything saved, when `stop` becomes true; Diverged when something is not finite and
    the policy of `plan.watch` is to stop, or has come to its limit.
    """
    if state.epoch and state.best.exhausted:
        return _patience_text(state)
    guard = Guard(plan.task, plan.rules, state, plan.watch)
    also = plan.task.on_request_of(plan.monitor)
    while state.epoch < plan.epochs:
        started = time.perf_counter()
        samples_before = state.sums.count
        state.train_mode()
        try:
            _train_epoch(plan, state, guard, checkpoints, stop)
            # The means are read before anything is saved: a loss that went wrong on a GPU is seen here at the latest.
            means = state.sums.means()
            guard.check(means)
        except Rewound:
            continue
        seconds = time.perf_counter() - started
        if not state.sums.count:
            raise Diverged(f"every update of epoch {state.epoch + 1} was skipped", "look at the data and the model")
        state.average.after_epoch(state.epoch + 1)
        try:
            with state.evaluation_weights():
                _measure_statistics(plan, state, stop)
                evaluation = evaluate(
                    plan.task,
                    state.networks,
                    plan.val,
                    plan.rules.precision,
                    also=also,
                    should_stop=lambda: bool(stop),
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
        guard.epoch_is_over()
        values = {"epoch": state.epoch, "step": state.step, "lr": learning_rate, **metrics, **pace}
        # Observers write the epoch's row first: a kill between the two repeats the epoch, row and all, and loses none.
        _observe(plan, EpochRecord(state.epoch, plan.epochs, values, is_best, plan.monitor))
        saved = state.state_dict()
        checkpoints.save(saved, _judged(saved, evaluation.metrics) if is_best else None)
        if state.best.exhausted:
            return _patience_text(state)
        if stop and state.epoch < plan.epochs:
            raise _stopped(state, stop)
    return f"all {plan.epochs} epochs done"


def _train_epoch(plan: FitPlan, state: TrainState, guard: Guard, checkpoints: Checkpoints, stop: StopRequest) -> None:
    """The updates of an epoch that are still to be made."""
    num_batches = len(plan.train)
    guard.epoch_begins()
    batches = plan.train.epoch(state.epoch, state.batch, state.troubles.attempt)
    for window in windows(batches, plan.accumulate):
        guard.update(window)
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
            guard.check(state.sums.means())
            raise _saved_and_stopped(state, checkpoints, stop)
        if plan.save_every_steps and state.step % plan.save_every_steps == 0 and state.batch < num_batches:
            guard.check(state.sums.means())
            checkpoints.save(state.state_dict())


def _measure_statistics(plan: FitPlan, state: TrainState, stop: StopRequest) -> None:
    """An average of weights gets the running statistics that belong to it. Raises StoppedInEvaluation."""
    if state.average.needs_statistics():
        batches = (plan.statistics or plan.train).epoch(state.epoch)
        measure_statistics(plan.task, state.networks, batches, plan.rules.precision, lambda: bool(stop))
        state.average.keep_statistics()


def windows(batches: Iterator[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of `size`; the last may be shorter."""
    while window := list(islice(batches, size)):
        yield window


def _observe(plan: FitPlan, record: StepRecord | EpochRecord) -> None:
    for observer in plan.observers:
        observer(record)


def _judged(saved: Mapping[str, Any], metrics: dict[str, float]) -> dict[str, Any]:
    """Of a state: the weights that the metrics are of, and where."""
    networks = saved.get("evaluation_networks", saved["networks"])
    return {"networks": networks, "position": saved["position"], "metrics": metrics}


def _saved_and_stopped(state: TrainState, checkpoints: Checkpoints, stop: StopRequest) -> Interrupted:
    checkpoints.save(state.state_dict())
    return _stopped(state, stop)


def _stopped(state: TrainState, stop: StopRequest) -> Interrupted:
    where = f"epoch {state.epoch + 1}, batch {state.batch}" if state.batch else f"the end of epoch {state.epoch}"
    return Interrupted(f"{stop.name} received; saved at {where}", stop.exit_code)


def _patience_text(state: TrainState) -> str:
    best = f"{state.best.value:.4g} in epoch {state.best.epoch}" if state.best.value is not None else "none"
    return f"stopped early after epoch {state.epoch}: no improvement for {state.best.waited} epochs (best {best})"
