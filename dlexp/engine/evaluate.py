"""The only evaluation loop."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from dlexp.metrics.states import MetricState
from dlexp.networks.modes import evaluation_mode
from dlexp.runtime.distributed import ALONE, ProcessGroup
from dlexp.runtime.out_of_memory import out_of_memory
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import derive, kept_randomness, seed_global, seed_step
from dlexp.tasks.base import Task
from dlexp.types import Batch, Prediction

Item = TypeVar("Item")


@dataclass(frozen=True)
class Evaluation:
    """The metrics over a split, and the state that they were computed from."""

    metrics: dict[str, float]
    state: MetricState


class StoppedInEvaluation(Exception):
    """A signal came while evaluating; the position in training is unchanged."""


def evaluate(
    task: Task,
    networks: nn.ModuleDict,
    batches: Iterable[Batch],
    precision: Precision,
    state: MetricState | None = None,
    *,
    seed: int,
    group: ProcessGroup = ALONE,
    keeps_generators: bool = True,
) -> Evaluation:
    """Run `networks` over `batches` without changing anything: evaluation mode, no gradient, modes put back after.

    Each batch is seeded by (seed, "evaluate", its number), and generators are put back afterwards: the same weights
    give the same metrics, also of a loss that draws noise, and training draws what it would have drawn without.

    Args:
        task: Gives the predictions.
        networks: In any mode.
        batches: Those of a split.
        precision: Number format of the networks.
        state: Takes the predictions batch by batch; None for `task.metric_state()`. One of `task.report_state()` keeps
            what a report is made of, and one of `task.metric_state(names)` computes more metrics.
        seed: Seed of the run.
        group: The processes that evaluate together. `batches` are then every R-th of the split, from number `rank` on,
            and metrics and state are those of all of them.
        keeps_generators: Whether Python's and NumPy's generators are seeded and put back as well; False where nothing
            draws from them.
    """
    state = task.metric_state() if state is None else state
    batches = seeded(batches, seed, group, keeps_generators)
    with (
        kept_randomness(keeps_generators),
        torch.inference_mode(),
        closing(predictions(task, networks, batches, precision)) as found,
    ):
        for prediction in found:
            with _naming_batch(len(prediction), networks):
                state.update(prediction)
    state, *others = group.gather(state)
    for other in others:
        state.merge(other)
    return Evaluation(state.compute(), state)


def seeded(
    batches: Iterable[Item], seed: int, group: ProcessGroup = ALONE, keeps_generators: bool = True
) -> Iterator[Item]:
    """The batches, or groups of views of one, each with torch's generators seeded by its number in the split; Python's
    and NumPy's once, if they are kept."""
    if keeps_generators:
        seed_global(seed, "evaluate")
    for number, batch in enumerate(batches):
        seed_step(derive(seed, "evaluate", number * group.size + group.rank))
        yield batch


def predictions(
    task: Task, networks: nn.ModuleDict, batches: Iterable[Batch], precision: Precision
) -> Generator[Prediction, None, None]:
    """The predictions of `networks` for each batch, one by one; in evaluation mode until the end, modes put back after.

    Raises OutOfMemory that names a smaller batch.
    """
    with evaluation_mode(networks):
        for batch in batches:
            with _naming_batch(len(batch), networks), torch.inference_mode(), precision.autocast():
                prediction = task.predict(dict(networks.items()), batch)
            yield prediction


def until(should_stop: Callable[[], bool], batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches. Raises StoppedInEvaluation as soon as `should_stop()` is true."""
    for batch in batches:
        if should_stop():
            raise StoppedInEvaluation
        yield batch


@contextmanager
def _naming_batch(size: int, networks: nn.ModuleDict) -> Iterator[None]:
    """Raise OutOfMemory with the size of the batch and a remedy where memory runs out in the body."""
    try:
        yield
    except Exception as error:
        device = next((value.device for value in networks.state_dict().values()), torch.device("cpu"))
        remedy = f"data.eval_batch_size={size // 2}" if size > 1 else "a smaller model"
        known = out_of_memory(error, f"the evaluation of a batch of {size} samples", device, remedy)
        if known is None:
            raise
        raise known from error
