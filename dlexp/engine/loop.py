"""Training: the one loop. Read top to bottom, it is the order in which things happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

from dlexp.engine.evaluate import Evaluation, StoppedInEvaluation, evaluate, until
from dlexp.engine.norm_statistics import measure_statistics
from dlexp.engine.recovery import Recovery, RecoveryHooks, RolledBack
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules
from dlexp.errors import Diverged, Interrupted
from dlexp.metrics.states import MetricState
from dlexp.runtime.distributed import is_stopping
from dlexp.runtime.signals import StopRequest
from dlexp.tasks.base import Task
from dlexp.types import Batch, TrainingData

T = TypeVar("T")


class StepRecord(NamedTuple):
    """An update was made. A tuple, since it is made at every update and a frozen dataclass takes four times as long.

    learning_rates  phase -> learning rate of the update
    means           reads the running means from the device, those of this process alone; call it only to show them
    """

    epoch: int
    batch: int
    num_batches: int
    step: int
    samples: int
    learning_rates: Mapping[str, float]
    means: Callable[[], dict[str, float]]


@dataclass(frozen=True)
class EpochRecord:
    """An epoch ended: its means over the training samples, the metrics over the validation split, and its pace.

    values  column name -> value: epoch, step, lr (lr/PHASE for several phases), train/..., val/..., seconds,
            samples_per_s
    """

    epoch: int
    epochs: int
    values: dict[str, float | int]
    is_best: bool
    monitor: str


Observer = Callable[[StepRecord | EpochRecord], None]


def learning_rate_columns(learning_rates: Mapping[str, float]) -> dict[str, float]:
    """Column name -> learning rate: lr for one phase, lr/PHASE for each of several."""
    if len(learning_rates) == 1:
        return {"lr": next(iter(learning_rates.values()))}
    return {f"lr/{phase}": rate for phase, rate in learning_rates.items()}


class Checkpoints(Protocol):
    """Keeps states: on disk, or less than that.

    best  the part to keep of the best epoch, when `state` is its end; its tensors are those of `state`, so that one
          copy serves for both
    """

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None: ...


@dataclass(frozen=True)
class FitPlan:
    """Data, rules and length of a training.

    Attributes:
        train: Training batches.
        val: Validation batches, read once an epoch.
        accumulate: Micro batches of an update.
        monitor: Column of the metric that decides which epoch is best, such as val/loss.
        save_every_steps: Updates between two saves within an epoch, None for none.
        observers: Called in rank 0 after every update and every epoch.
        statistics: The training samples that running statistics of averaged weights are measured on, None for those of
            `train`.
        metric_state: Returns an empty state of the metrics of an epoch, None for that of the task.
        first_best_epoch: The first epoch, counted from 1, that can be the best.
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
    recovery: RecoveryHooks = field(default_factory=RecoveryHooks)
    statistics: TrainingData | None = None
    metric_state: Callable[[], MetricState] | None = None
    first_best_epoch: int = 1


@dataclass(frozen=True)
class Update:
    """The next update of a course: what it changes, the rules that hold for it now, and its batches."""

    task: Task
    state: TrainState
    rules: StepRules
    micro_batches: Sequence[Batch]


Course = Generator[Update, bool | None, T]  # answered by whether the update was made, which the course else makes


def follow(course: Course[T]) -> T:
    """Let a course make all its updates itself; returns its result."""
    while True:
        try:
            next(course)
        except StopIteration as end:
            result: T = end.value
            return result


def fit(plan: FitPlan, state: TrainState, checkpoints: Checkpoints, stop: StopRequest) -> str:
    """Train as `course` does, each update as it comes."""
    return follow(course(plan, state, checkpoints, stop))


def course(plan: FitPlan, state: TrainState, checkpoints: Checkpoints, stop: StopRequest) -> Course[str]:
    """Train from the position of `state` to the last epoch; returns the reason of its end.

    Before each update it yields it, so that several runs can make theirs together; see engine/stacking.
    Raises Interrupted, with everything saved, when `stop` becomes true; Diverged when something is not finite and
    the policy of `plan.recovery` is to stop, or has come to its limit.
    """
    if state.epoch and state.best.exhausted:
        return _patience_text(state)
    recovery, group = Recovery(plan.task, plan.rules, state, plan.recovery), plan.rules.group
    while state.epoch < plan.epochs:
        started = time.perf_counter()
        samples_before = state.sums.count
        state.train_mode()
        try:
            yield from _train_epoch(plan, state, recovery, checkpoints, stop)
            # The means are read before anything is saved: a loss that went wrong on a GPU is seen here at the latest.
            means = state.sums.means(group)
            recovery.check(means)
        except RolledBack:
            continue
        seconds = time.perf_counter() - started
        if not state.sums.count:
            raise Diverged(f"every update of epoch {state.epoch + 1} was skipped", "look at the data and the model")
        state.average.after_epoch(state.epoch + 1)
        try:
            evaluation = _evaluate(plan, state, stop)
        except StoppedInEvaluation:
            # The position says that every batch is taken and the epoch is open: resuming evaluates first.
            raise _saved_and_stopped(plan, state, checkpoints, stop) from None
        metrics = {f"train/{k}": v for k, v in means.items()} | {f"val/{k}": v for k, v in evaluation.metrics.items()}
        pace = {"seconds": seconds, "samples_per_s": group.sum(state.sums.count - samples_before) / seconds}
        rates = learning_rate_columns(state.sums.learning_rates)
        for schedule in state.schedules.values():
            schedule.epoch_end(metrics[plan.monitor])
        counts = state.epoch + 1 >= plan.first_best_epoch
        is_best = counts and state.best.update(metrics[plan.monitor], state.epoch + 1)
        state.finish_epoch()
        recovery.end_epoch()
        values = {"epoch": state.epoch, "step": state.step, **rates, **metrics, **pace}
        # Observers write the epoch's row first: a kill between the two repeats the epoch, row and all, and loses none.
        _observe(plan, EpochRecord(state.epoch, plan.epochs, values, is_best, plan.monitor))
        _save(plan, state, checkpoints, evaluation.metrics if is_best else None)
        if state.best.exhausted:
            return _patience_text(state)
        if is_stopping(stop, group) and state.epoch < plan.epochs:
            raise _stopped(state, stop)
    return f"all {plan.epochs} epochs done" if plan.epochs > 1 else "1 epoch done"


def _train_epoch(
    plan: FitPlan, state: TrainState, recovery: Recovery, checkpoints: Checkpoints, stop: StopRequest
) -> Course[None]:
    """Make the remaining updates of the running epoch."""
    num_batches, group = len(plan.train), plan.rules.group
    recovery.begin_epoch()
    batches = plan.train.epoch(state.epoch, state.batch, state.nonfinite.attempt)
    for micro_batches in group_batches(batches, plan.accumulate):
        if (yield Update(plan.task, state, recovery.rules, micro_batches)):
            recovery.made()
        else:
            recovery.update(micro_batches)
        record = StepRecord(
            state.epoch + 1,
            state.batch,
            num_batches,
            state.step,
            state.sums.count,
            state.sums.learning_rates,
            state.sums.means,
        )
        _observe(plan, record)
        if is_stopping(stop, group):
            recovery.check(state.sums.means(group))
            raise _saved_and_stopped(plan, state, checkpoints, stop)
        if plan.save_every_steps and state.step % plan.save_every_steps == 0 and state.batch < num_batches:
            recovery.check(state.sums.means(group))
            _save(plan, state, checkpoints)


def _evaluate(plan: FitPlan, state: TrainState, stop: StopRequest) -> Evaluation:
    """The metrics over the validation split. Raises StoppedInEvaluation."""
    # Processes have different numbers of batches here, so they cannot agree on a stop before the end.
    should_stop = (lambda: bool(stop)) if plan.rules.group.size == 1 else (lambda: False)
    with state.eval_weights():
        _measure_statistics(plan, state, should_stop)
        return evaluate(
            plan.task,
            state.networks,
            until(should_stop, plan.val),
            plan.rules.precision,
            _metric_state(plan),
            seed=plan.rules.seed,
            group=plan.rules.group,
            keeps_generators=state.keeps_generators,
        )


def _metric_state(plan: FitPlan) -> MetricState:
    if plan.metric_state is not None:
        return plan.metric_state()
    return plan.task.metric_state(plan.task.extra_metrics_of(plan.monitor))


def _measure_statistics(plan: FitPlan, state: TrainState, should_stop: Callable[[], bool]) -> None:
    """Measure the running statistics that belong to an average of weights. Raises StoppedInEvaluation."""
    if state.average.needs_statistics():
        batches = (plan.statistics or plan.train).epoch(state.epoch)
        measure_statistics(plan.task, state.networks, batches, plan.rules.precision, should_stop)
        state.average.keep_statistics()


def group_batches(batches: Iterator[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of `size`; the last may be shorter."""
    while micro_batches := list(islice(batches, size)):
        yield micro_batches


def _observe(plan: FitPlan, record: StepRecord | EpochRecord) -> None:
    if plan.rules.group.rank == 0:
        for observer in plan.observers:
            observer(record)


def _save(
    plan: FitPlan, state: TrainState, checkpoints: Checkpoints, best_metrics: dict[str, float] | None = None
) -> None:
    """Save the state in rank 0; `best_metrics` are those of the best epoch, when it ends here."""
    saved = state.state_dict()  # in all processes: each may hold a part of the weights
    if plan.rules.group.rank == 0:
        checkpoints.save(saved, None if best_metrics is None else _best(saved, best_metrics))


def _best(saved: Mapping[str, Any], metrics: dict[str, float]) -> dict[str, Any]:
    """Of a state: the weights that the metrics are of, and the position."""
    networks = saved.get("eval_weights", saved["networks"])
    return {"networks": networks, "position": saved["position"], "metrics": metrics}


def _saved_and_stopped(plan: FitPlan, state: TrainState, checkpoints: Checkpoints, stop: StopRequest) -> Interrupted:
    _save(plan, state, checkpoints)
    return _stopped(state, stop)


def _stopped(state: TrainState, stop: StopRequest) -> Interrupted:
    where = f"epoch {state.epoch + 1}, batch {state.batch}" if state.batch else f"the end of epoch {state.epoch}"
    return Interrupted(f"{stop.name} received; saved at {where}", stop.exit_code)


def _patience_text(state: TrainState) -> str:
    best = f"{state.best.value:.4g} in epoch {state.best.epoch}" if state.best.value is not None else "none"
    return f"stopped early after epoch {state.epoch}: no improvement for {state.best.waited} epochs (best {best})"
