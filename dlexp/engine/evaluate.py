"""The only evaluation loop."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from dlexp.runtime.distributed import ALONE, ProcessGroup
from dlexp.runtime.out_of_memory import out_of_memory, release_free_memory
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import derive, kept_randomness, seed_global, seed_step
from dlexp.tasks.base import Task
from dlexp.types import Batch, Prediction

_LARGE_BYTES = 1 << 20  # of logits of a batch
_CHUNK_BYTES = 1 << 26  # above what malloc ever takes from its heap


@dataclass(frozen=True)
class Evaluation:
    """The metrics over a split, and its condensed predictions (empty unless they are kept)."""

    metrics: dict[str, float]
    predictions: tuple[Prediction, ...]


class StoppedInEvaluation(Exception):
    """A signal came while evaluating; the position in training is unchanged."""


def evaluate(
    task: Task,
    networks: nn.ModuleDict,
    batches: Iterable[Batch],
    precision: Precision,
    *,
    seed: int,
    keep_predictions: bool = False,
    also: Sequence[str] = (),
    group: ProcessGroup = ALONE,
) -> Evaluation:
    """Run `networks` over `batches` without changing anything: evaluation mode, no gradient, modes put back after.

    Each batch is seeded by (seed, "evaluate", its number), and generators are put back afterwards: the same weights
    give the same metrics, also of a loss that draws noise, and training draws what it would have drawn without.

    Args:
        seed: Seed of the run.
        keep_predictions: Whether the predictions are kept.
        also: Metrics that the task computes on request; NaN for one that is undefined here.
        group: The processes that evaluate together. `batches` are then every R-th of the split, from number `rank` on,
            and the metrics are those of all of them; kept predictions are those of this process.
    """
    metrics = task.metric_state()
    kept, store = [], _Store()
    batches = seeded(batches, seed, group)
    with kept_randomness(), torch.inference_mode(), closing(predictions(task, networks, batches, precision)) as found:
        for prediction in found:
            with _naming_batch(len(prediction.indices), networks):
                metrics.update(prediction)
            if keep_predictions or also:
                kept.append(store.keep(prediction.condensed))
    metrics, *others = group.gather(metrics)
    for other in others:
        metrics.merge(other)
    values = metrics.compute()
    if also:
        values |= task.requested(also, kept)
    return Evaluation(values, tuple(kept) if keep_predictions else ())


class _Store:
    """Keeps large logits in a few large tensors, and gives back what lies free between.

    The short-lived tensors of each batch leave holes in the heap that the next ones do not fit: for 20,000 samples of
    10,000 classes, whose logits are 0.8 GB, they added up to as much again.
    """

    def __init__(self) -> None:
        self._chunk, self._used = torch.empty(0), 0

    def keep(self, prediction: Prediction) -> Prediction:
        """The same prediction, whose logits are kept for long."""
        logits = prediction.logits
        if logits is None or logits.nbytes < _LARGE_BYTES:
            return prediction
        rows, is_alike = len(logits), self._chunk.shape[1:] == logits.shape[1:] and self._chunk.dtype == logits.dtype
        if not is_alike or self._used + rows > len(self._chunk):
            size = max(rows, _CHUNK_BYTES * rows // logits.nbytes)
            release_free_memory()
            self._chunk, self._used = logits.new_empty((size, *logits.shape[1:])), 0
        place = self._chunk[self._used : self._used + rows]
        self._used += rows
        return replace(prediction, logits=place.copy_(logits))


def seeded(batches: Iterable[Batch], seed: int, group: ProcessGroup = ALONE) -> Iterator[Batch]:
    """The batches, each with torch's generators seeded by its number in the split; Python's and NumPy's once."""
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
    modes = [(module, module.training) for module in networks.modules()]
    networks.eval()
    try:
        for batch in batches:
            with _naming_batch(len(batch), networks), torch.inference_mode(), precision.autocast():
                prediction = task.predict(dict(networks.items()), batch)
            yield prediction
    finally:
        for module, mode in modes:  # one by one: a layer may be in another mode than the network around it
            module.training = mode


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
