"""Runs whose monitored metric has no finite value, so that there is no best epoch."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path

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


def no_best_epoch(run: Path, monitor: str, epochs: int) -> NoResult:
    """The error of a run without a finite value of the monitored metric."""
    rule = f"{monitor} has no finite value in {epochs} epochs, so there is no best epoch"
    remedy = f"Set another trainer.monitor, or use the last weights with dlexp evaluate {run} --checkpoint last"
    return NoResult(f"{rule}. {remedy}")
