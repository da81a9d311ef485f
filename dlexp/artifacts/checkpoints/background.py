"""Checkpoints written beside training: the loop copies the state in memory and goes on, a thread does the rest.

At most a twentieth of the time goes into writing, so short epochs are not all saved one by one: of states that wait,
the newest counts. A kill costs what came after the last write: twenty times as long as a write takes, and no more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from dlexp.errors import Interrupted
from dlexp.runtime.tensors import snapshot

_REST = 19.0  # times as long as a write took, before the next one


class Store(Protocol):
    """Where states go in the end."""

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None: ...


class BackgroundCheckpoints:
    """A store that does not keep its caller waiting; a context that ends when everything is written.

    An error of a write is raised by the next save, or at the end.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
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
        if error is None or isinstance(error, Interrupted):  # which says that everything is saved
            raise self._error
        if str(self._error) != str(error):
            error.add_note(f"and the last checkpoint could not be written: {self._error}")

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None:
        """Have `state` replace last.pt, and `best` best.pt; a tensor that is in both is copied once."""
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
                taken, self._waiting = self._waiting, {}
            started = time.monotonic()
            try:
                self._store.save(taken["last"], taken.get("best"))
            except Exception as error:
                with self._changed:
                    self._error, self._waiting = error, {}
                return
            taken = {}  # a copy of the state is not kept while nothing is written
            seconds = time.monotonic() - started
            with self._changed:
                self._changed.wait_for(lambda: self._hurry, timeout=_REST * seconds)
