"""The only evaluation loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from dlexp.errors import OutOfMemory
from dlexp.runtime.memory import out_of_memory
from dlexp.runtime.precision import Precision
from dlexp.tasks.base import Task
from dlexp.types import Batch, Prediction


@dataclass(frozen=True)
class Evaluation:
    """The metrics over a split, and what was predicted (empty unless it was asked for)."""

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
    modes = [(module, module.training) for module in networks.modules()]
    networks.eval()
    metrics = task.metric_state()
    kept = []
    try:
        with torch.inference_mode():
            for batch in batches:
                if should_stop():
                    raise StoppedInEvaluation
                try:
                    with precision.autocast():
                        prediction = task.predict(dict(networks.items()), batch)
                    metrics.update(prediction)
                except Exception as error:
                    told = _out_of_memory(error, len(batch), networks)
                    if told is None:
                        raise
                    raise told from error
                if keep_predictions or also:
                    kept.append(prediction)
    finally:
        for module, mode in modes:  # one by one: a layer may be in another mode than the network around it
            module.training = mode
    values = metrics.compute()
    if also:
        values |= task.requested(also, kept)
    return Evaluation(values, tuple(kept) if keep_predictions else ())


def _out_of_memory(error: Exception, size: int, networks: nn.ModuleDict) -> OutOfMemory | None:
    device = next((value.device for value in networks.state_dict().values()), torch.device("cpu"))
    remedy = f"data.eval_batch_size={size // 2}" if size > 1 else "a smaller model"
    return out_of_memory(error, f"the evaluation of a batch of {size} samples", device, remedy)
