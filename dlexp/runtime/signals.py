"""Stop requests by signals, handled between two steps, with the exit codes of the process.

    SIGINT             (Ctrl-C)              130
    SIGTERM, SIGUSR1   (from a scheduler)     75, EX_TEMPFAIL: the same command resumes the run
    SIGHUP             (terminal closed)      75; stays ignored if it is ignored, as under nohup
    SIGPIPE            (closed pipe)         141; requested after a failed write, not by a signal

The handler sets a flag; the loop saves a checkpoint and ends. A second signal ends the process at once (130, 143),
except SIGHUP: closing a terminal sends one, and the shell in it another.
"""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75, signal.SIGUSR1: 75, signal.SIGHUP: 75, signal.SIGPIPE: 141}
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class StopRequest:
    """Context manager that handles the signals; true after the first one."""

    def __init__(self) -> None:
        self._signal: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        for number in _HANDLED:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
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
        if self._signal is not None:
            os._exit(128 + number)
        self._signal = signal.Signals(number)


class NeverStop(StopRequest):
    """A StopRequest that handles no signals, for tests and use in another program."""

    def __enter__(self) -> NeverStop:
        return self
