"""Stop requests by signals, handled between two steps, with the exit codes of the process.

    SIGINT             (Ctrl-C)              130
    SIGTERM, SIGUSR1   (from a scheduler)     75, EX_TEMPFAIL: the same command resumes the run
    SIGHUP             (terminal closed)      75; stays ignored if it is ignored, as under nohup
    SIGPIPE            (closed pipe)         141; requested after a failed write, not by a signal

The handler sets a flag; the loop saves a checkpoint and ends. A second signal ends the process at once (130, 143),
except SIGHUP: closing a terminal sends one, and the shell in it another.

In another program, such as a notebook (`in_another_program`), the process is not ours: a second Ctrl-C raises
KeyboardInterrupt, signals that the program handles itself are left to it, and outside the main thread, where Python
allows no handlers, none is installed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import Any

_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75, signal.SIGUSR1: 75, signal.SIGHUP: 75, signal.SIGPIPE: 141}
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
_in_another_program: ContextVar[bool] = ContextVar("in_another_program", default=False)


@contextmanager
def in_another_program() -> Iterator[None]:
    """In the body, stop requests leave the process to the program that calls dlexp."""
    before = _in_another_program.set(True)
    try:
        yield
    finally:
        _in_another_program.reset(before)


class StopRequest:
    """Context manager that handles the signals; true after the first one."""

    def __init__(self) -> None:
        self._signal: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self._is_guest = _in_another_program.get()

    def __enter__(self) -> StopRequest:
        if self._is_guest and threading.current_thread() is not threading.main_thread():
            return self
        for number in _HANDLED:
            before = signal.getsignal(number)
            if number == signal.SIGHUP and before == signal.SIG_IGN:
                continue
            if self._is_guest and number != signal.SIGINT and before != signal.SIG_DFL:
                continue
            self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def __bool__(self) -> bool:
        return self._signal is not None

    @property
    def name(self) -> str:
        """The name of the received signal, such as SIGTERM; "" for none."""
        return self._signal.name if self._signal else ""

    @property
    def exit_code(self) -> int:
        """The exit code of the process for the received signal; 0 for none."""
        return _CODES[self._signal] if self._signal else 0

    def request(self, number: signal.Signals) -> None:
        """Request a stop as if signal `number` was received, unless another one was before."""
        self._signal = self._signal or number

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None and number == signal.SIGHUP:
            return
        if self._signal is not None and self._is_guest and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self._signal is not None:
            os._exit(128 + number)
        self._signal = signal.Signals(number)


class NeverStop(StopRequest):
    """A StopRequest that handles no signals, for tests and use in another program."""

    def __enter__(self) -> NeverStop:
        return self


class SharedStop(StopRequest):
    """The stop request of all runs of a stack: what it says changes between two updates only, for all alike."""

    def __init__(self, source: StopRequest) -> None:
        super().__init__()
        self._source, self._is_stopping = source, False

    def __enter__(self) -> SharedStop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: the source handles the signals."""

    def __bool__(self) -> bool:
        return self._is_stopping

    @property
    def name(self) -> str:
        """The name of the signal that the source received."""
        return self._source.name

    @property
    def exit_code(self) -> int:
        """That of the source."""
        return self._source.exit_code

    def request(self, number: signal.Signals) -> None:
        """Request a stop of all."""
        self._source.request(number)

    def read(self) -> None:
        """Take over what the source says; call it between two updates."""
        self._is_stopping = bool(self._source)
