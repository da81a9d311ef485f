"""A stretch of training with a gauge at its parts: some updates of an epoch, some batches of an evaluation, hooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from typing import Protocol

from torch import Tensor
from torch.autograd.variable import Variable

from dlexp.engine.profiling.probes import Clock, Gauge
from dlexp.engine.state import TrainState
from dlexp.tasks.base import Networks, Task
from dlexp.types import Batch, LossOutput, TrainingData


class Cut:
    """The first updates of the epochs of some training data, with a gauge at the door; training data themselves.

    samples  how many were given out
    """

    def __init__(self, data: TrainingData, gauge: Gauge, updates: int, accumulate: int) -> None:
        self._data, self._gauge = data, gauge
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
        self._gauge.begin()
        batches: Iterator[Batch] = iter(())
        for number in count():
            is_first = number % self._accumulate == 0
            if is_first and not self._left:
                break
            self._gauge.enter("data")
            if number == 0:  # where an order is drawn, and workers are started
                batches = self._data.epoch(epoch, first_batch, attempt)
            batch = next(batches, None)
            self._gauge.leave("data")
            if batch is None:
                break
            self._left -= is_first
            self.samples += len(batch)
            yield batch
        self._gauge.end()


class Sequenced(Protocol):
    """Batches that can be counted."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class Few:
    """The first batches of a split, and the time that an evaluation of them takes, from its first batch to `clock.end`.

    count  how many at most
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


@contextmanager
def hooked(task: Task, state: TrainState, gauge: Gauge) -> Iterator[None]:
    """Tell `gauge` of every forward pass, backward pass and optimizer step while the body runs."""
    plain = task.loss

    def loss(phase: str, networks: Networks, batch: Batch) -> LossOutput:
        gauge.enter("forward")
        output = plain(phase, networks, batch)
        gauge.leave("forward")
        output.value.register_hook(flows)  # called when the gradient reaches the loss
        return output

    def flows(gradient: Tensor) -> None:
        gauge.enter("backward")
        Variable._execution_engine.queue_callback(lambda: gauge.leave("backward"))  # when every gradient is there

    with ExitStack() as cleanup:
        vars(task)["loss"] = loss
        cleanup.callback(vars(task).pop, "loss")
        for optimizer in state.optimizers.values():
            steps = _Steps(gauge)
            before = optimizer.register_step_pre_hook(steps.begin)
            after = optimizer.register_step_post_hook(steps.end)
            cleanup.callback(before.remove)
            cleanup.callback(after.remove)
        yield


class _Steps:
    """Tells a gauge of an optimizer's steps; torch calls the hooks of a step that calls its base class's twice."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge, self._depth = gauge, 0

    def begin(self, *_: object) -> None:
        if not self._depth:
            self._gauge.enter("optimizer")
        self._depth += 1

    def end(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._gauge.leave("optimizer")
