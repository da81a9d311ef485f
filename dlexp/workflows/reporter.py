"""What a workflow tells while it runs. The command line shows it; a test or a notebook may keep it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.runtime.signals import StopRequest

Watching = TypeVar("Watching")


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


def unbroken(reporter: Watching, stop: StopRequest) -> Watching:
    """`reporter`, silent from the first write on that fails: a terminal or a log that is gone ends no training.

    A closed pipe does: whoever read has seen enough, and `stop` is asked for, so that everything is saved.
    """
    return cast(Watching, _Unbroken(reporter, stop))


class _Unbroken:
    def __init__(self, reporter: Any, stop: StopRequest) -> None:
        self._reporter, self._stop, self._is_silent = reporter, stop, False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._reporter, name)

        def call(*given: Any) -> None:
            if self._is_silent:
                return
            try:
                method(*given)
            except OSError as error:
                self._is_silent = True
                if isinstance(error, BrokenPipeError):
                    self._stop.request(signal.SIGPIPE)

        return call
