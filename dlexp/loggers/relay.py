"""What stands between training and a tracker: a queue and a thread, so that no step waits for a disk or a server.

Training only appends to a list. A tracker that fails is told once and counted; one that hangs is left behind at the
end, after `patience` seconds. Neither can stop a run, and none sees more than the numbers that metrics.jsonl gets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Row = tuple[int, Mapping[str, float]]

_MOST_ROWS = 100_000  # that wait for a tracker which does not answer
_MOST_FAILURES = 3  # writes in a row, after which it is left alone


@dataclass(frozen=True)
class Card:
    """What a tracker is told of a run when it begins.

    identity    the name that the tracker gave the run before, "" for a new one
    first_step  rows after this update are yet to come: a run that goes on writes them again
    params      dotted key -> value, of the configuration as it is saved: secrets by their names
    tags        facts to find the run by
    """

    name: str
    folder: str
    identity: str = ""
    first_step: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class Sink(Protocol):
    """A tracker. Everything is called from one thread, in this order; whatever it raises is told and counted."""

    def open(self, remember: Callable[[str], None]) -> None:
        """Begin; `remember` keeps the name by which the tracker will know the run when it goes on."""

    def write(self, rows: Sequence[Row]) -> None:
        """Rows of numbers, each with the update after which they were taken."""

    def close(self, end: str, results: Mapping[str, float]) -> None:
        """The run is over: finished, failed or interrupted; the results are those of the best epoch."""


class Relay:
    """Hands rows to a sink in a thread of its own."""

    def __init__(self, sink: Sink, remember: Callable[[str], None], clean: Callable[[str], str]) -> None:
        """clean  takes secrets out of an error's text"""
        self._sink, self._remember, self._clean = sink, remember, clean
        self._rows: list[Row] = []
        self._end: tuple[str, Mapping[str, float]] | None = None
        self._changed = threading.Condition()
        self.problem, self.lost, self._gave_up = "", 0, False
        self._thread = threading.Thread(target=self._work, name=type(sink).__name__, daemon=True)
        self._thread.start()

    def put(self, row: Row) -> None:
        """Have a row written, some time."""
        with self._changed:
            if self._gave_up or len(self._rows) >= _MOST_ROWS:
                self.lost += 1
                self.problem = self.problem or "it takes rows more slowly than they come"
                return
            self._rows.append(row)
            self._changed.notify()

    def close(self, end: str, results: Mapping[str, float]) -> None:
        """Say that no row will come; does not wait."""
        with self._changed:
            self._end = (end, results)
            self._changed.notify()

    def wait(self, until: float) -> None:
        """Wait for the end of the writing, to a time of the monotonic clock; what is not written then is lost."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            with self._changed:
                self._gave_up = True
                self.lost += len(self._rows)
                self._rows = []
                self.problem = self.problem or "it did not answer in time (logger.patience)"

    def _work(self) -> None:
        try:
            self._sink.open(self._remember)
            failures = 0
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._rows or self._end is not None)
                    rows, self._rows = self._rows, []
                if not rows:
                    break
                failures = 0 if self._written(rows) else failures + 1
                if failures >= _MOST_FAILURES:
                    raise ConnectionError(self.problem)
            assert self._end is not None
            self._sink.close(*self._end)
        except BaseException as error:  # a tracker's SystemExit ends the tracker
            with self._changed:
                self._gave_up = True
                self.problem = self.problem or self._told(error)
                self.lost += len(self._rows)
                self._rows = []

    def _written(self, rows: Sequence[Row]) -> bool:
        try:
            self._sink.write(rows)
        except Exception as error:
            with self._changed:
                self.problem = self.problem or self._told(error)
                self.lost += len(rows)
            return False
        return True

    def _told(self, error: BaseException) -> str:
        lines = str(error).splitlines()
        return self._clean(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)
