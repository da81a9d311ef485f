"""Jobs in forked processes.

The parent imports torch and reads the data, but computes nothing, so that it has no threads that a fork would lose, and
does not initialize CUDA. A job is a forked child: it starts in milliseconds, and its end (an exception, the
out-of-memory killer, `kill -9`, `sys.exit`) does not affect other jobs.

Child to parent, JSON lines: {"epoch", ...} after each epoch, and a final message such as {"failed": reason}.
Parent to child, one byte per epoch of a trial: c to continue, p to prune.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import make_folder
from dlexp.artifacts.files.reading import read_text
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.runtime.signals import StopRequest
from dlexp.tune.storage.worker_id import is_alive

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 20.0  # for a child to finish its step and save

_ORPHAN_SECONDS = 20.0  # for the children of a killed process to save and exit

Send = Callable[[dict[str, Any]], None]
Receive = Callable[[], bool]
Work = Callable[[Send, Receive], None]


@dataclass
class Child:
    """A running job.

    Attributes:
        slot: Its number among the parallel jobs, from 0.
    """

    key: Any
    slot: int
    pid: int
    reports: int  # file descriptor
    replies: int  # file descriptor
    started: float = field(default_factory=time.monotonic)
    buffer: bytes = b""
    final_message: dict[str, Any] | None = None
    stop_requested: float | None = None  # when, on the monotonic clock
    is_late: bool = False  # exceeded search.trial_minutes

    def reply(self, is_continued: bool) -> None:
        """Reply to the report of an epoch, unless the child has ended."""
        try:
            os.write(self.replies, b"c" if is_continued else b"p")
        except BrokenPipeError:
            return

    def stop(self) -> None:
        """Ask the child to finish its step, save and exit; kill it if it takes too long after the first request."""
        now = time.monotonic()
        if self.stop_requested is not None and now - self.stop_requested < _GRACE_SECONDS:
            return
        try:
            os.kill(self.pid, signal.SIGTERM if self.stop_requested is None else signal.SIGKILL)
        except ProcessLookupError:
            return
        self.stop_requested = now

    def take_in(self) -> tuple[list[dict[str, Any]], bool]:
        """(complete messages, whether the pipe is still open)."""
        content = os.read(self.reports, 65536)
        *lines, self.buffer = (self.buffer + content).split(b"\n")
        return [json.loads(line) for line in lines], bool(content)

    def close(self) -> None:
        """Close the pipes."""
        os.close(self.reports)
        os.close(self.replies)

    def collect(self) -> str:
        """Wait for the process; returns how it ended, "" for exit code 0."""
        self.close()
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:  # if SIGCHLD is ignored, the exit code is lost
            return "the process ended with an unknown exit code"
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}" if code else ""


class ChildStop(StopRequest):
    """Stop request of a child: SIGTERM, a scheduler's signal, or the end of its parent; the parent handles Ctrl-C."""

    def __init__(self) -> None:
        super().__init__()
        self._parent = os.getppid()

    def __enter__(self) -> ChildStop:
        super().__enter__()
        for number in (
            signal.SIGINT,
            signal.SIGHUP,
        ):  # sent to the whole process group; a second signal would prevent saving
            signal.signal(number, signal.SIG_IGN)
        return self

    def __bool__(self) -> bool:
        return super().__bool__() or os.getppid() != self._parent

    @property
    def name(self) -> str:
        """The reason of the stop."""
        return super().name or "the end of the parent process"

    @property
    def exit_code(self) -> int:
        """The exit code: that of the signal, otherwise 75 (saved, can be resumed)."""
        return super().exit_code or os.EX_TEMPFAIL


def wait_for_orphans(folder: Path) -> None:
    """Wait for the children of a killed process, which hold its lock on `folder` until their next step."""
    until = time.monotonic() + _ORPHAN_SECONDS
    while RunDir(folder).is_locked() and time.monotonic() < until:
        words = read_text(folder / ".lock", errors="replace").split()  # process PID on HOST since ...
        if len(words) < 4 or is_alive(f"{words[3]}:{words[1]}"):
            return
        time.sleep(_POLL_SECONDS)


def has_used_gpu() -> bool:
    """Return whether this process uses GPU memory, which is released when it ends."""
    import torch

    used: bool = torch.cuda.is_initialized()
    return used


class Pool:
    """A pool of at most `size` parallel children."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.children: list[Child] = []
        self._leaving: list[int] = []  # processes that have sent their final message and use no GPU

    @property
    def has_room(self) -> bool:
        """Return whether another job can start."""
        return len(self.children) < self._size

    def start(self, key: Any, output: Path, work: Work) -> None:
        """Fork a child that runs `work`, with its output in the file `output`."""
        slot = min(set(range(self._size)) - {child.slot for child in self.children})
        reports, to_parent = os.pipe()
        from_parent, replies = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # otherwise the garbage collector of the child would copy all shared pages
        pid = os.fork()
        if pid:
            gc.unfreeze()
            os.close(to_parent)
            os.close(from_parent)
            self.children.append(Child(key, slot, pid, reports, replies))
            return
        code = 1
        try:
            os.close(reports)
            os.close(replies)
            _become_child(output, slot, self._size)
            work(_sender(to_parent), _receiver(from_parent))
            code = 0
        finally:
            os._exit(code)  # not sys.exit, which would run the cleanup of the parent

    def stop(self) -> None:
        """Ask every child to save and exit."""
        for child in self.children:
            child.stop()

    def events(self) -> Iterator[tuple[Child, dict[str, Any]]]:
        """Messages of the children, after waiting briefly: each epoch, and one final message per child.

        A child without a final message failed, or was interrupted if it had been asked to stop. The final message of a
        child that used a GPU is returned after its process has ended and its memory is released.
        """
        self._leaving = [pid for pid in self._leaving if _is_there(pid)]
        ready, _, _ = select.select([child.reports for child in self.children], [], [], _POLL_SECONDS)
        for child in [child for child in self.children if child.reports in ready]:
            messages, is_open = child.take_in()
            for message in messages:
                if "epoch" in message:
                    yield child, message
                else:
                    child.final_message = message
            if is_open and child.final_message is None:
                continue
            self.children.remove(child)
            if child.final_message is not None and not child.final_message.get("used_gpu", True):
                child.close()
                self._leaving.append(child.pid)
                yield child, child.final_message
                continue
            how = child.collect()
            failed = {"failed": how or "the process ended without a message"}
            yield child, child.final_message or (failed if child.stop_requested is None else {"interrupted": True})


def _is_there(pid: int) -> bool:
    """Return whether a child is still running; reaps it otherwise."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False


def _sender(to_parent: int) -> Send:
    def send(message: dict[str, Any]) -> None:
        os.write(to_parent, json.dumps(message).encode() + b"\n")

    return send


def _receiver(from_parent: int) -> Receive:
    def receive() -> bool:
        return os.read(from_parent, 1) != b"p"  # no data: the parent has ended, which ChildStop detects

    return receive


def _become_child(output: Path, slot: int, size: int) -> None:
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C and a closed terminal signal the whole group
        signal.signal(number, signal.SIG_IGN)  # the parent decides
    if size > 1:
        _take_gpu(slot)
    make_folder(output.parent)
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _take_gpu(slot: int) -> None:
    """Assign GPUs to parallel jobs in turn; CUDA is not initialized yet, so it still reads this variable."""
    import torch

    count = torch.cuda.device_count()  # queries the driver without a CUDA context
    if count:
        visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        names = visible or [str(number) for number in range(count)]
        os.environ["CUDA_VISIBLE_DEVICES"] = names[slot % count]
