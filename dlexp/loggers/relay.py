"""A queue and a thread between training and a tracker, so that no step waits for a disk or a server.

Training only appends to a list. Failures of a tracker are reported once and counted; a tracker that hangs is abandoned
at the end, after `patience` seconds. Neither stops a run. Trackers receive the same numbers as metrics.jsonl.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Row = tuple[int, Mapping[str, float]]

_MOST_ROWS = 100_000  # queued for a tracker that does not respond
_MOST_FAILURES = 3  # consecutive failed writes after which a tracker is abandoned


@dataclass(frozen=True)
class Card:
    """Description of a run for a tracker.

    Attributes:
        name: Name of the run.
        folder: Directory of the run.
        identity: The tracker's id of the run if it is resumed, "" for a new run.
        first_step: Update after which rows will follow; a resumed run writes them again.
        params: Dotted key -> value of the saved configuration, with secrets unresolved.
        tags: Properties to search for.
    """

    name: str
    folder: str
    identity: str = ""
    first_step: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class TrackerNames:
    """Names of metrics that every tracker accepts: MLflow and TensorBoard refuse or replace brackets.

    A character other than a letter, a digit and `_ - . /` becomes `_`, and a `_` at the end is dropped: `recall[yes]`
    is `recall_yes`. A name that another metric already has gets `_2`, in the order of the columns of metrics.csv.
    """

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def of(self, values: Mapping[str, float]) -> dict[str, float]:
        """The values under these names."""
        return {self._name(name): value for name, value in values.items()}

    def _name(self, name: str) -> str:
        if name not in self._found:
            plain = re.sub(r"[^\w./-]", "_", name)
            plain = plain if plain == name else plain.rstrip("_")
            used, number = set(self._found.values()), 1
            while (label := plain if number == 1 else f"{plain}_{number}") in used:
                number += 1
            self._found[name] = label
        return self._found[name]


class Sink(Protocol):
    """A tracker. Methods are called from one thread, in this order; exceptions are reported and counted."""

    def open(self, remember: Callable[[str], None]) -> None:
        """Create or resume the run; `remember` saves the tracker's id of the run."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows of numbers, each with its update."""

    def close(self, end: str, results: Mapping[str, float]) -> None:
        """End the run.

        Args:
            end: finished, failed or interrupted.
            results: Metrics of the best epoch.
        """


class Relay:
    """Passes rows to a sink in a separate thread.

    Args:
        sink: The tracker.
        remember: Saves the tracker's id of the run.
        clean: Removes secrets from the text of an error.
    """

    def __init__(self, sink: Sink, remember: Callable[[str], None], clean: Callable[[str], str]) -> None:
        self._sink, self._remember, self._clean = sink, remember, clean
        self._rows: list[Row] = []
        self._end: tuple[str, Mapping[str, float]] | None = None
        self._changed = threading.Condition()
        self.problem, self.lost, self._gave_up = "", 0, False
        self._thread = threading.Thread(target=self._work, name=type(sink).__name__, daemon=True)
        self._thread.start()

    def put(self, row: Row) -> None:
        """Queue a row."""
        with self._changed:
            if self._gave_up or len(self._rows) >= _MOST_ROWS:
                self.lost += 1
                self.problem = self.problem or "too slow for the number of rows"
                return
            self._rows.append(row)
            self._changed.notify()

    def close(self, end: str, results: Mapping[str, float]) -> None:
        """Announce the end of the run; does not wait."""
        with self._changed:
            self._end = (end, results)
            self._changed.notify()

    def wait(self, until: float) -> None:
        """Wait for pending rows until a time of the monotonic clock; the others are lost."""
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
        except BaseException as error:  # SystemExit of a tracker must not end the run
            with self._changed:
                self._gave_up = True
                self.problem = self.problem or self._describe(error)
                self.lost += len(self._rows)
                self._rows = []

    def _written(self, rows: Sequence[Row]) -> bool:
        try:
            self._sink.write(rows)
        except Exception as error:
            with self._changed:
                self.problem = self.problem or self._describe(error)
                self.lost += len(rows)
            return False
        return True

    def _describe(self, error: BaseException) -> str:
        lines = str(error).splitlines()
        return self._clean(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)
