"""A run whose deciding metric has no value: told when it happens, and at the end no epoch is called the best."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path

from dlexp.engine.loop import EpochRecord, Observer, StepRecord
from dlexp.errors import NoResult


def undefined_epochs(say: Callable[[str], None]) -> Observer:
    """Says the first epoch in which the monitored metric has no finite value."""
    said: list[int] = []

    def observe(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord) and not said and not isfinite(value := record.values[record.monitor]):
            said.append(record.epoch)
            say(f"{record.monitor} is {value} in epoch {record.epoch}; an epoch without a value is never the best one")

    return observe


def no_best_epoch(run: Path, monitor: str, epochs: int) -> NoResult:
    """The end of a run in which no epoch had a value of the metric that decides."""
    rule = f"{monitor} had no finite value in any of {epochs} epochs, so that no epoch is the best one"
    remedy = f"Train with another trainer.monitor, or use the last weights: dlexp evaluate {run} --checkpoint last"
    return NoResult(f"{rule}. {remedy}")
