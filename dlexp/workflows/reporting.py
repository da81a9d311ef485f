"""What a workflow tells while it runs. The command line shows it; a test or a notebook may keep it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dlexp.engine.loop import EpochRecord, StepRecord


@dataclass(frozen=True)
class RunFacts:
    """What is known when training begins.

    facts  label -> text, in the order in which a person wants them
    """

    title: str
    run_dir: str
    epochs: int
    first_epoch: int
    num_batches: int
    facts: dict[str, str]


class Reporter(Protocol):
    """Watches; nothing that it does reaches the training."""

    def say(self, text: str) -> None:
        """A line for the person."""

    def begin(self, facts: RunFacts) -> None:
        """Training begins."""

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """A step or an epoch is over."""

    def end(self) -> None:
        """Training is over, however it ended."""


class Silent:
    """A reporter that shows nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def begin(self, facts: RunFacts) -> None:
        """Nothing."""

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""
