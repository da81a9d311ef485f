"""A request to stop, noticed at the next step and never in the middle of one.

    SIGINT             (Ctrl-C)               130
    SIGTERM, SIGUSR1   (a scheduler's word)    75, EX_TEMPFAIL: run the same line again to continue
    SIGHUP             (a closed terminal)     75; where it is ignored, as nohup arranges, it stays so
    SIGPIPE            (nobody reads)         141; no signal, but what a write to a closed pipe asks for

The handler sets a flag; the loop saves and leaves. A second signal does not wait: the process ends at once (130, 143).
A second SIGHUP changes nothing: a terminal that is closed sends one, and the shell in it another.
"""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75, signal.SIGUSR1: 75, signal.SIGHUP: 75, signal.SIGPIPE: 141}
_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class StopRequest:
    """Context manager that listens for signals; truthy once one came."""

    def __init__(self) -> None:
        self._signal: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        for number in _HEARD:
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
        """The name of the signal that came, such as SIGTERM."""
        return self._signal.name if self._signal else ""

    @property
    def exit_code(self) -> int:
        """What the process should end with once everything is saved."""
        return _CODES[self._signal] if self._signal else 0

    def request(self, number: signal.Signals) -> None:
        """Stop as if `number` had come, unless another one came before."""
        self._signal = self._signal or number

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None and number == signal.SIGHUP:
            return
        if self._signal is not None:
            os._exit(128 + number)
        self._signal = signal.Signals(number)


class NeverStop(StopRequest):
    """Listens to nothing: for loops that are tested or run inside another program."""

    def __enter__(self) -> NeverStop:
        return self
