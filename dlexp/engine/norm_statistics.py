"""Running means and variances for weights that were not trained with them, such as an average of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from dlexp.engine.evaluate import StoppedInEvaluation
from dlexp.networks.modes import evaluation_mode
from dlexp.regularization.weight_averaging import running_norms
from dlexp.runtime.precision import Precision
from dlexp.tasks.base import Task
from dlexp.types import Batch


def measure_statistics(
    task: Task,
    networks: nn.ModuleDict,
    batches: Iterable[Batch],
    precision: Precision,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """One pass over `batches`: every norm that is in training mode gets the mean of what it sees, each batch alike.

    All else is in evaluation mode, so that nothing is random: dropout would change the variances that are measured.
    Norms that are frozen, or that the task's prediction does not reach, keep what they have. Modes are put back after.
    Raises StoppedInEvaluation as soon as `should_stop()` is true, with statistics of no use.
    """
    norms: list[Any] = [norm for norm in running_norms(networks) if norm.training]
    before = [(norm.momentum, norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]
    with evaluation_mode(networks):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch then takes the plain mean over the batches
            norm.training = True
        try:
            with torch.inference_mode():
                for batch in batches:
                    if should_stop():
                        raise StoppedInEvaluation
                    with precision.autocast():
                        task.predict(dict(networks.items()), batch)
        finally:
            for norm, (momentum, mean, variance) in zip(norms, before, strict=True):
                norm.momentum = momentum
                if not norm.num_batches_tracked:
                    norm.running_mean.copy_(mean)
                    norm.running_var.copy_(variance)
