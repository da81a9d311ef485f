"""Checkpoints written by a background thread from copies of the state, so that training does not wait for the disk.

At most a twentieth of the time is spent on writing, and a hundredth where a write takes milliseconds: of several
pending states only the newest is written. A kill loses the training since the last write: at most a second, or twenty
times as long as one write takes, whichever is longer. Runs that are trained in turn share this time: each of K runs
rests K times as long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from dlexp.errors import Interrupted
from dlexp.runtime.tensors import snapshot

_REST = 19.0  # pause between two writes, in durations of the last write
_LONG_REST, _LONG_REST_SECONDS = 99.0, 1.0  # the same for writes so short that this pause takes at most so long


class StateSink(Protocol):
    """A destination of checkpoints, such as a CheckpointStore."""

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None: ...


class BackgroundCheckpoints:
    """A store whose saves return at once; leaving its context waits until everything is written.

    A failed write is raised by the next save, or when the context is left.

    Args:
        store: Where states are written.
        together: Number of runs whose states are written in the same time.
    """

    def __init__(self, store: StateSink, together: int = 1) -> None:
        self._store, self._together = store, together
        self._waiting: dict[str, Any] = {}
        self._error: Exception | None = None
        self._hurry = self._over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write_all, name="checkpoints", daemon=True)

    def __enter__(self) -> BackgroundCheckpoints:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._hurry = self._over = True
            self._changed.notify()
        self._thread.join()
        if self._error is None:
            return
        if error is None or isinstance(error, Interrupted):  # its message claims that everything is saved
            raise self._error
        if str(self._error) != str(error):
            error.add_note(f"The last checkpoint could not be written: {self._error}")

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None:
        """Replace last.pt by `state`, and best.pt by `best`; a tensor that is in both is copied once."""
        copies = snapshot({"last": state} if best is None else {"last": state, "best": best})
        with self._changed:
            if self._error is not None:
                raise self._error
            self._waiting.update(copies)
            self._changed.notify()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._over)
                if not self._waiting:
                    return
                pending, self._waiting = self._waiting, {}
            started = time.monotonic()
            try:
                self._store.save(pending["last"], pending.get("best"))
            except Exception as error:
                with self._changed:
                    self._error, self._waiting = error, {}
                return
            pending = {}  # release the copy of the state before the pause
            seconds = time.monotonic() - started
            with self._changed:
                self._changed.wait_for(lambda: self._hurry, timeout=self._together * rest_after(seconds))


def rest_after(seconds: float) -> float:
    """The pause after a write that took so many seconds, in seconds."""
    return max(_REST * seconds, min(_LONG_REST * seconds, _LONG_REST_SECONDS))
