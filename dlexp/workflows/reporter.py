"""Progress reports of workflows, which the command line displays."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.runtime.signals import StopRequest

Reporting = TypeVar("Reporting")
Event_contra = TypeVar("Event_contra", contravariant=True)


@dataclass(frozen=True)
class RunFacts:
    """Facts about a run when its training starts.

    Attributes:
        facts: Label -> text, in display order.
    """

    title: str
    run_dir: str
    epochs: int
    first_epoch: int
    num_batches: int
    facts: dict[str, str]


class ProgressReporter(Protocol[Event_contra]):
    """Receives messages and progress; it does not affect the workflow."""

    def say(self, text: str) -> None:
        """Show a message to the user."""

    def observe(self, event: Event_contra, /) -> None:
        """Called when there is progress."""


class Reporter(ProgressReporter[StepRecord | EpochRecord], Protocol):
    """Receives the progress of a training: an event for each step and each epoch."""

    def begin(self, facts: RunFacts) -> None:
        """Called when training starts."""

    def end(self) -> None:
        """Called when training ends, also after an error."""


class Silent:
    """A reporter that shows nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    def begin(self, facts: RunFacts) -> None:
        """Show nothing."""

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


def unbroken(reporter: Reporting, stop: StopRequest) -> Reporting:
    """`reporter`, disabled after the first failed write, so that a closed terminal does not end the training.

    A closed pipe requests `stop`, so that the run is saved and ends.
    """
    return cast(Reporting, _Unbroken(reporter, stop))


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
