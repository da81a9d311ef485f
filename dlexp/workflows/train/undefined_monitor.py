"""Metrics without a value: why, and runs whose monitored one has none, so that there is no best epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite, isnan
from pathlib import Path

import torch

from dlexp.assemble.experiment import Experiment
from dlexp.data.columns import tensor_of
from dlexp.engine.loop import EpochRecord, Observer, StepRecord
from dlexp.errors import NoResult


def undefined_epochs(say: Callable[[str], None]) -> Observer:
    """An observer that reports the first epoch in which the monitored metric is not finite."""
    reported: list[int] = []

    def observe(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord) and not reported and not isfinite(value := record.values[record.monitor]):
            reported.append(record.epoch)
            say(f"{record.monitor} is {value} in epoch {record.epoch}, which cannot be the best epoch")

    return observe


def undefined_metrics(experiment: Experiment, values: Mapping[str, float]) -> dict[str, str]:
    """Name -> the reason, for each validation metric that is NaN, as `dlexp evaluate` tells it."""
    missing = [name for name, value in values.items() if isnan(value)]
    if not missing:
        return {}
    column = experiment.bundle.splits["val"].targets
    targets = torch.empty(0) if column is None or column.shape is None else tensor_of(column)
    return {name: experiment.task.undefined(name, targets) or "it had no value in the best epoch" for name in missing}


def no_best_epoch(run: Path, monitor: str, epochs: int) -> NoResult:
    """The error of a run without a finite value of the monitored metric."""
    rule = f"{monitor} has no finite value in {epochs} epochs, so there is no best epoch"
    remedy = f"Set another trainer.monitor, or use the last weights with dlexp evaluate {run} --checkpoint last"
    return NoResult(f"{rule}. {remedy}")
