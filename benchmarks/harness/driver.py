"""Systems in processes of their own, whose segments take turns: A B C A B C; and what can be said of them.

Only one process runs at a time: the others are stopped (SIGSTOP), with all their threads. What everybody else on the
machine took during a segment is computed, and a segment that had to share its cores is left out. A ratio is taken
within a round, so that a machine that is slow for a while is slow for both sides.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_ROWS, _COLUMNS = 24, 100
_SHARED = 0.1  # cores that others may take beyond those that a process leaves free
_WAITED = 0.05  # share of a segment that its process may have waited for a core


@dataclass(frozen=True)
class System:
    """Something to measure: `target` is module:function, called with a Turns and `options`.

    warm_up, epochs  how many epochs come before the first segment, and make a segment
    """

    name: str
    target: str
    options: Mapping[str, Any]
    warm_up: int = 1
    epochs: int = 1


@dataclass(frozen=True)
class Segment:
    """One turn of one system.

    spans    name -> wall, cpu, samples, times (see turns.py)
    foreign  cores that everybody else used meanwhile, on average
    waited   share of the time that the process stood ready without a core
    peak     its most resident memory so far, bytes
    """

    spans: Mapping[str, Mapping[str, float]]
    foreign: float
    waited: float
    peak: int
    disturbed: bool

    def rate(self, span: str, clock: str) -> float:
        """Samples a second of `clock` (wall or cpu)."""
        found = self.spans[span]
        return found["samples"] / found[clock] if found[clock] else float("nan")


@dataclass
class Measured:
    """The segments of a system, one a round; `missing` says why there are none."""

    system: System
    segments: list[Segment] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    missing: str = ""


@dataclass(frozen=True)
class Summary:
    """Median and range of n values, and how many were left out because the machine was busy."""

    median: float
    low: float
    high: float
    n: int
    left_out: int

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f}-{self.high:.3f})"


def ratios(ours: Measured, limit: Measured, span: str, clock: str, limit_span: str = "") -> Summary:
    """`ours` over `limit` in samples a second, round by round; undisturbed rounds alone while there are any."""
    pairs = list(zip(ours.segments, limit.segments, strict=True))
    calm = [pair for pair in pairs if not (pair[0].disturbed or pair[1].disturbed)]
    return summary(
        [one.rate(span, clock) / other.rate(limit_span or span, clock) for one, other in calm or pairs],
        len(pairs) - len(calm),
    )


def summary(values: Sequence[float], left_out: int = 0) -> Summary:
    """Of one value or more."""
    return Summary(statistics.median(values), min(values), max(values), len(values), left_out)


def measure(systems: Sequence[System], rounds: int, threads: int, timeout: float = 600.0) -> list[Measured]:
    """Run `rounds` rounds of one segment each. Raises RuntimeError with a process's last words when it dies."""
    with tempfile.TemporaryDirectory() as folder:  # what the processes write; they are killed and clean up nothing
        return _measure([Measured(system) for system in systems], rounds, threads, timeout, folder)


def _measure(found: list[Measured], rounds: int, threads: int, timeout: float, folder: str) -> list[Measured]:
    children: list[Child] = []
    try:
        for one in found:
            children.append(Child(one.system, threads, timeout, folder))
            first = children[-1].read()
            one.missing, one.facts = str(first.get("missing", "")), first.get("facts", {})
            children[-1].stop()
        for number in range(rounds):
            pairs = [pair for pair in zip(children, found, strict=True) if not pair[1].missing]
            for child, one in pairs if number % 2 == 0 else reversed(pairs):  # nobody always comes after the same one
                one.segments.append(child.segment(one.system.epochs))
    finally:
        for child in children:
            child.close()
    return found


class Child:
    """A process with one workload; stopped whenever it is not its turn."""

    def __init__(self, system: System, threads: int, timeout: float, folder: str) -> None:
        self._threads, self._name = threads, system.name
        own, theirs = socket.socketpair()
        own.settimeout(timeout)
        self._socket, self._channel = own, own.makefile("rw")
        self._terminal = Terminal()
        options = json.dumps({**system.options, "warm_up": system.warm_up})
        line = [sys.executable, "-m", "benchmarks.harness.child", str(theirs.fileno()), system.target, options]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "OMP_NUM_THREADS": str(threads),
            "GOMP_SPINCOUNT": "1000",  # else two threads beside a busy neighbor measure the neighbor
            "TERM": "xterm-256color",
            "TMPDIR": folder,
            "COLUMNS": str(_COLUMNS),
        }
        self._process = subprocess.Popen(
            line,
            env=environment,
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._terminal.slave,
            stderr=self._terminal.slave,
            start_new_session=True,
        )
        theirs.close()
        self._terminal.drain()

    def read(self) -> dict[str, Any]:
        """The next report. Raises RuntimeError when the process has died or says nothing for too long."""
        try:
            line = self._channel.readline()
        except TimeoutError:
            line = ""
        if not line:
            raise RuntimeError(f"{self._name} gave no report; its last words:\n{self._terminal.tail()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> None:
        """Stop every thread of the process until its next turn."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP)

    def segment(self, epochs: int) -> Segment:
        """One turn."""
        self._process.send_signal(signal.SIGCONT)
        before = self._clocks()
        self._channel.write(json.dumps({"epochs": epochs}) + "\n")
        self._channel.flush()
        measured = self.read()
        wall, busy, own, waited = (now - then for now, then in zip(self._clocks(), before, strict=True))
        self.stop()
        foreign = max(0.0, (busy - own) / wall)
        free = (os.cpu_count() or 1) - self._threads
        return Segment(
            spans={name: span for name, span in measured.items() if isinstance(span, dict)},
            foreign=foreign,
            waited=waited / wall,
            peak=measured["peak"],
            disturbed=foreign > free + _SHARED or waited / wall > _WAITED,
        )

    def close(self) -> None:
        """End the process."""
        self._channel.close()
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._terminal.close()

    def _clocks(self) -> tuple[float, float, float, float]:
        """Seconds: of the wall, all cores' work, this process's and the child's work, the child's wait for a core."""
        tick = os.sysconf("SC_CLK_TCK")
        # user nice system idle iowait irq softirq steal: what a host takes away (steal) is foreign work as well
        fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        busy = (sum(fields) - fields[3] - fields[4]) / tick
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        child = (int(stat[11]) + int(stat[12])) / tick
        waiting = Path(f"/proc/{self._process.pid}/schedstat")
        waited = int(waiting.read_text().split()[1]) / 1e9 if waiting.is_file() else 0.0
        return time.perf_counter(), busy, child + time.process_time(), waited


class Terminal:
    """A terminal that nobody looks at: what a live display writes is read and its end kept."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        self._kept, self._over = bytearray(), threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def drain(self) -> None:
        """Begin to read; the child has its end now."""
        os.close(self.slave)
        self._thread.start()

    def tail(self) -> str:
        """The last of what was written."""
        self._over.wait(1.0)
        return self._kept.decode(errors="replace")[-4000:]

    def close(self) -> None:
        """Call when the child has ended."""
        self._thread.join(5.0)
        os.close(self._master)

    def _read(self) -> None:
        while True:
            select.select([self._master], [], [])
            try:
                found = os.read(self._master, 65536)
            except OSError:  # Linux's word for: nobody has the other end any more
                found = b""
            if not found:
                self._over.set()
                return
            self._kept = (self._kept + found)[-20_000:]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
