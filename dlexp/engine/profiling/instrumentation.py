"""Instruments of a stretch of training: its first updates, the first batches of an evaluation, a probe in each part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count, islice
from typing import Any, Protocol, cast

from torch import Tensor

from dlexp.engine.profiling.probes import Clock, Probe
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules
from dlexp.tasks.base import Networks, Task
from dlexp.types import Batch, LossOutput, TrainingData


class LimitedBatches:
    """The first updates of the epochs of other training data, with a probe that times the batches.

    samples  samples given out so far
    """

    def __init__(self, data: TrainingData, probe: Probe, updates: int, accumulate: int) -> None:
        self._data, self._probe = data, probe
        self._left, self._accumulate = updates, accumulate
        self.samples = 0

    def __len__(self) -> int:
        return len(self._data)

    @property
    def num_samples(self) -> int:
        """Of the whole split."""
        return self._data.num_samples

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]:
        """The batches of `epoch`, until those of all updates have been given out."""
        self._probe.begin()
        batches: Iterator[Batch] = iter(())
        for number in count():
            is_first = number % self._accumulate == 0
            if is_first and not self._left:
                break
            self._probe.enter("data")
            if number == 0:  # where an order is drawn, and workers are started
                batches = self._data.epoch(epoch, first_batch, attempt)
            batch = next(batches, None)
            self._probe.leave("data")
            if batch is None:
                break
            self._left -= is_first
            self.samples += len(batch)
            yield batch
        self._probe.end()


class Sequenced(Protocol):
    """Batches that can be counted."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class FirstBatches:
    """The first batches of a split, and the time that an evaluation of them takes, from its first batch to `clock.end`.

    count  their largest number
    """

    def __init__(self, batches: Sequenced, count: int, clock: Clock) -> None:
        self._batches, self._count, self._times = batches, min(count, len(batches)), 0
        self.clock = clock

    def __iter__(self) -> Iterator[Batch]:
        self.clock.begin()
        self._times += 1
        yield from islice(self._batches, self._count)

    @property
    def seconds_of_all(self) -> float:
        """An evaluation of the whole split, from the mean of those that were timed."""
        return self.clock.seconds / self._times * len(self._batches) / self._count


class TimedTask:
    """Another task, whose loss reports the beginning and the end of the forward pass; all else is the other's."""

    def __init__(self, task: Task, probe: Probe) -> None:
        self._task, self._probe = task, probe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The loss of the other task."""
        self._probe.enter("forward")
        output = self._task.loss(phase, networks, batch)
        self._probe.leave("forward")
        return output


@contextmanager
def instrument(task: Task, rules: StepRules, state: TrainState, probe: Probe) -> Iterator[tuple[Task, StepRules]]:
    """The task and the rules that report every forward and backward pass to `probe`, as do optimizers within it."""

    def backward(loss: Tensor) -> None:
        probe.enter("backward")
        rules.backward(loss)
        probe.leave("backward")

    with ExitStack() as cleanup:
        for optimizer in state.optimizers.values():
            steps = _Steps(probe)
            before = optimizer.register_step_pre_hook(steps.begin)
            after = optimizer.register_step_post_hook(steps.end)
            cleanup.callback(before.remove)
            cleanup.callback(after.remove)
        yield cast(Task, TimedTask(task, probe)), replace(rules, backward=backward)


class _Steps:
    """Reports an optimizer's steps; torch calls the hooks twice of a step that calls its base class's."""

    def __init__(self, probe: Probe) -> None:
        self._probe, self._depth = probe, 0

    def begin(self, *_: object) -> None:
        if not self._depth:
            self._probe.enter("optimizer")
        self._depth += 1

    def end(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._probe.leave("optimizer")
