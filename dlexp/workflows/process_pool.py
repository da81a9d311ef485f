"""Jobs in processes of their own, at the price of a fork.

The parent has imported torch and read the data; it computes nothing, so no thread exists that a fork would lose, and it
never touches CUDA. A job is a forked child: it starts in milliseconds, and whatever ends it (an exception, the
out-of-memory killer, `kill -9`, `sys.exit`) ends nothing else.

Child -> parent, JSON lines: {"epoch", ...} after each epoch, at the end other words, such as {"failed": reason}.
Parent -> child, a byte for each epoch of a trial: c to go on, p to stop because others were better at this age.
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
_GRACE_SECONDS = 20.0  # what a child gets to finish its step and save

_ORPHAN_SECONDS = 20.0  # what the children of a killed process get to save and leave

Send = Callable[[dict[str, Any]], None]
Receive = Callable[[], bool]
Work = Callable[[Send, Receive], None]


@dataclass
class Child:
    """A running job as its parent sees it.

    slot  its number among those that run side by side, from 0
    """

    key: Any
    slot: int
    pid: int
    reports: int  # file descriptor
    replies: int  # file descriptor
    started: float = field(default_factory=time.monotonic)
    buffer: bytes = b""
    last_words: dict[str, Any] | None = None
    asked_to_stop: float | None = None  # when, on the monotonic clock
    is_late: bool = False  # that was for search.trial_minutes

    def reply(self, go_on: bool) -> None:
        """Answer an epoch's report; a child that is gone needs none."""
        try:
            os.write(self.replies, b"c" if go_on else b"p")
        except BrokenPipeError:
            return

    def stop(self) -> None:
        """Ask the child to finish its step, save and leave; asked again, one that takes too long is killed."""
        now = time.monotonic()
        if self.asked_to_stop is not None and now - self.asked_to_stop < _GRACE_SECONDS:
            return
        try:
            os.kill(self.pid, signal.SIGTERM if self.asked_to_stop is None else signal.SIGKILL)
        except ProcessLookupError:
            return
        self.asked_to_stop = now

    def take_in(self) -> tuple[list[dict[str, Any]], bool]:
        """(messages that are complete, whether more can come)."""
        content = os.read(self.reports, 65536)
        *lines, self.buffer = (self.buffer + content).split(b"\n")
        return [json.loads(line) for line in lines], bool(content)

    def close(self) -> None:
        """Hear and say no more."""
        os.close(self.reports)
        os.close(self.replies)

    def collect(self) -> str:
        """Wait for the end of the process; how it ended, "" for an exit with 0."""
        self.close()
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:  # where SIGCHLD is ignored nobody is told how a process ended
            return "its process ended, and the system does not tell how"
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}" if code else ""


class ChildStop(StopRequest):
    """Stops a child: its parent's word, a scheduler's, or its parent's death; Ctrl-C is the parent's to hear."""

    def __init__(self) -> None:
        super().__init__()
        self._parent = os.getppid()

    def __enter__(self) -> ChildStop:
        super().__enter__()
        for number in (signal.SIGINT, signal.SIGHUP):  # they reach the whole group: a second signal would not save
            signal.signal(number, signal.SIG_IGN)
        return self

    def __bool__(self) -> bool:
        return super().__bool__() or os.getppid() != self._parent

    @property
    def name(self) -> str:
        """Why."""
        return super().name or "the end of the process that started it"

    @property
    def exit_code(self) -> int:
        """What the child would end with on its own: saved, to be continued."""
        return super().exit_code or os.EX_TEMPFAIL


def wait_for_orphans(folder: Path) -> None:
    """Let the children of a killed process end: they hold its lock on `folder` until their next step."""
    until = time.monotonic() + _ORPHAN_SECONDS
    while RunDir(folder).is_locked() and time.monotonic() < until:
        words = read_text(folder / ".lock", errors="replace").split()  # process PID on HOST since ...
        if len(words) < 4 or is_alive(f"{words[3]}:{words[1]}"):
            return
        time.sleep(_POLL_SECONDS)


def has_used_gpu() -> bool:
    """Whether this process holds memory of a GPU, which is free again only when it is gone."""
    import torch

    used: bool = torch.cuda.is_initialized()
    return used


class Pool:
    """At most `size` children at a time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.children: list[Child] = []
        self._leaving: list[int] = []  # processes that have said everything and hold no GPU

    @property
    def has_room(self) -> bool:
        """Whether another job may start."""
        return len(self.children) < self._size

    def start(self, key: Any, output: Path, work: Work) -> None:
        """Fork a child that does `work`; what it prints goes to the file `output`."""
        slot = min(set(range(self._size)) - {child.slot for child in self.children})
        reports, to_parent = os.pipe()
        from_parent, replies = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # the child's collector would else touch, and so copy, all that it shares with its parent
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
            os._exit(code)  # not sys.exit: the parent's cleanups are the parent's

    def stop(self) -> None:
        """Ask every child to save and leave."""
        for child in self.children:
            child.stop()

    def events(self) -> Iterator[tuple[Child, dict[str, Any]]]:
        """What the children say, waiting a moment for it: each epoch, and once for each child how it ended.

        A child without last words failed, or was interrupted when it had been asked to stop. One that used a GPU is
        gone when its end is told, and its memory with it; of another one only the process may take a moment more.
        """
        self._leaving = [pid for pid in self._leaving if _is_there(pid)]
        ready, _, _ = select.select([child.reports for child in self.children], [], [], _POLL_SECONDS)
        for child in [child for child in self.children if child.reports in ready]:
            messages, is_open = child.take_in()
            for message in messages:
                if "epoch" in message:
                    yield child, message
                else:
                    child.last_words = message
            if is_open and child.last_words is None:
                continue
            self.children.remove(child)
            if child.last_words is not None and not child.last_words.get("used_gpu", True):
                child.close()
                self._leaving.append(child.pid)
                yield child, child.last_words
                continue
            how = child.collect()
            failed = {"failed": how or "its process ended without a word"}
            yield child, child.last_words or (failed if child.asked_to_stop is None else {"interrupted": True})


def _is_there(pid: int) -> bool:
    """Whether a child is still running; one that has ended is forgotten by the system."""
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
        return os.read(from_parent, 1) != b"p"  # nothing at all: the parent is gone, which the child's stop sees

    return receive


def _become_child(output: Path, slot: int, size: int) -> None:
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C and a closed terminal reach the whole group
        signal.signal(number, signal.SIG_IGN)  # the parent decides
    if size > 1:
        _take_gpu(slot)
    make_folder(output.parent)
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _take_gpu(slot: int) -> None:
    """Jobs side by side take the GPUs in turn; nothing has touched CUDA yet, so it still reads this variable."""
    import torch

    count = torch.cuda.device_count()  # asks the driver's library, without a CUDA context
    if count:
        visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        names = visible or [str(number) for number in range(count)]
        os.environ["CUDA_VISIBLE_DEVICES"] = names[slot % count]
