"""The side of a measured process: it runs a segment when the driver says so, and waits in between.

A workload calls `step` after every update and `epoch` after every epoch, whatever loop it is; a segment is a number of
whole epochs. What is measured are spans:

    epochs   whole epochs, from one call of `epoch` to the next
    steps    updates within an epoch, from the end of its first to the end of its last
    ending   from the last update to the call of `epoch`: validation, metrics, what is written and shown
    opening  from the call of `epoch` to the end of the first update: a checkpoint, the new order, and that update
"""

from __future__ import annotations

import ctypes
import json
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import IO, Any

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_WRITERS = ("checkpoints",)  # threads that may still be at work for an epoch that is over


class Missing(Exception):
    """A package that a workload needs is not installed."""


@dataclass
class Span:
    """What a kind of work came to: wall and processor seconds (all threads), samples, and how often."""

    wall: float = 0.0
    cpu: float = 0.0
    samples: int = 0
    times: int = 0

    def add(self, wall: float, cpu: float, samples: int) -> None:
        """One more."""
        self.wall, self.cpu, self.samples, self.times = (
            self.wall + wall,
            self.cpu + cpu,
            self.samples + samples,
            self.times + 1,
        )


class Turns:
    """Spans of the segment that runs, and the wait for the next.

    warm_up  epochs before the first segment, which nobody measures
    """

    def __init__(self, channel: IO[str], warm_up: int) -> None:
        self._channel, self._left = channel, warm_up
        self._synchronize: Callable[[], None] = lambda: None
        self._facts: dict[str, Any] = {}
        self._ready = False
        self._spans: dict[str, Span] = {}
        self._epoch = self._first = self._now()
        self._last: tuple[float, float] | None = None
        self._first_samples = 0
        self._reset()

    def know(self, device: str = "cpu", **facts: Any) -> None:
        """Facts about the workload for the driver, such as its number format; sent with the first report."""
        self._facts |= {"device": device, **facts}
        if device.startswith("cuda"):
            import torch

            self._synchronize = torch.cuda.synchronize

    def step(self, number: int, count: int, samples: int) -> None:
        """Update `number` of `count` (from 1) of an epoch is made, with `samples` samples of it so far."""
        if number in (1, count):
            self._synchronize()
        if number == 1:
            self._first, self._first_samples = self._now(), samples
            self._since("opening", self._epoch, samples)
        if number == count:
            if count > 1:
                self._since("steps", self._first, samples - self._first_samples)
            self._last = self._now()

    def epoch(self, samples: int) -> None:
        """An epoch of `samples` samples is over, with all that belongs to it. Returns when the next may begin."""
        self._synchronize()
        if self._last is not None:
            self._since("ending", self._last, samples)
        self._since("epochs", self._epoch, samples)
        self._epoch = self._now()
        self._left -= 1
        if self._left <= 0:
            self._wait()

    def _wait(self) -> None:
        begun = self._now()
        while _writing():
            time.sleep(0.001)
        if self._spans["epochs"].times:  # what was still being written belongs to the epochs
            self._spans["epochs"].wall += time.perf_counter() - begun[0]
            self._spans["epochs"].cpu += time.process_time() - begun[1]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        report: dict[str, Any] = {"peak": usage.ru_maxrss * 1024, "faults": usage.ru_minflt}
        report |= {name: asdict(span) for name, span in self._spans.items()} if self._ready else {"facts": self._facts}
        self._ready = True
        self._channel.write(json.dumps(report) + "\n")
        self._channel.flush()
        order = self._channel.readline()
        if not order:
            raise SystemExit(0)
        self._left = int(json.loads(order)["epochs"])
        self._reset()

    def _reset(self) -> None:
        self._spans = {name: Span() for name in ("epochs", "steps", "ending", "opening")}
        self._epoch, self._last = self._now(), None

    def _since(self, name: str, start: tuple[float, float], samples: int) -> None:
        wall, cpu = self._now()
        self._spans[name].add(wall - start[0], cpu - start[1], samples)

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()


def die_with_parent() -> None:
    """Let the system end this process when the driver ends, stopped or not."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _writing() -> bool:
    """Whether a thread that writes for epochs past is in the middle of it; one that waits is in `Condition.wait`.

    The driver stops the whole process between its turns: a write that is cut in two would be timed as a long one.
    """
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or -1)
        if thread.name in _WRITERS and frame is not None and frame.f_code.co_name != "wait":
            return True
    return False
