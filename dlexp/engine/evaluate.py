"""The only evaluation loop."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from dlexp.runtime.out_of_memory import out_of_memory, release_free_memory
from dlexp.runtime.precision import Precision
from dlexp.tasks.base import Task
from dlexp.types import Batch, Prediction

_LARGE_BYTES = 1 << 20  # of logits of a batch
_CHUNK_BYTES = 1 << 26  # above what malloc ever takes from its heap


@dataclass(frozen=True)
class Evaluation:
    """The metrics over a split, and its condensed predictions (empty unless they were asked for)."""

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
    keep_predictions: bool = False,
    also: Sequence[str] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Run `networks` over `batches` without changing anything: evaluation mode, no gradient, modes put back after.

    also  metrics that the task computes when they are asked for; NaN for one that is undefined here
    Raises StoppedInEvaluation as soon as `should_stop()` is true.
    """
    metrics = task.metric_state()
    kept, store = [], _Store()
    with torch.inference_mode(), closing(predictions(task, networks, _until(batches, should_stop), precision)) as found:
        for prediction in found:
            with _told(len(prediction.targets), networks):
                metrics.update(prediction)
            if keep_predictions or also:
                kept.append(store.keep(prediction.condensed))
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


def predictions(
    task: Task, networks: nn.ModuleDict, batches: Iterable[Batch], precision: Precision
) -> Generator[Prediction, None, None]:
    """What `networks` say of each batch, as it is asked for; in evaluation mode until the end, modes put back after.

    Raises OutOfMemory that names a smaller batch.
    """
    modes = [(module, module.training) for module in networks.modules()]
    networks.eval()
    try:
        for batch in batches:
            with _told(len(batch), networks), torch.inference_mode(), precision.autocast():
                prediction = task.predict(dict(networks.items()), batch)
            yield prediction
    finally:
        for module, mode in modes:  # one by one: a layer may be in another mode than the network around it
            module.training = mode


def _until(batches: Iterable[Batch], should_stop: Callable[[], bool]) -> Iterator[Batch]:
    for batch in batches:
        if should_stop():
            raise StoppedInEvaluation
        yield batch


@contextmanager
def _told(size: int, networks: nn.ModuleDict) -> Iterator[None]:
    """Memory that runs out in the body is told with the size of the batch and what to try."""
    try:
        yield
    except Exception as error:
        device = next((value.device for value in networks.state_dict().values()), torch.device("cpu"))
        remedy = f"data.eval_batch_size={size // 2}" if size > 1 else "a smaller model"
        told = out_of_memory(error, f"the evaluation of a batch of {size} samples", device, remedy)
        if told is None:
            raise
        raise told from error
