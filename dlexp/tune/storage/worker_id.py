"""Identifier of the process that runs a trial: host, process id, start time and process namespace.

A process id alone is reused, and each container of a host has its own process ids.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path


def own_worker_id() -> str:
    """The identifier of this process."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_start_of(pid)}:{_namespace()}"


def is_elsewhere(worker: str) -> bool:
    """Return whether `worker` is a process of another host or container, whose state is unknown here."""
    host, _, namespace, _ = _parts(worker)
    return bool(host) and (host != socket.gethostname() or namespace not in ("", _namespace()))


def is_alive(worker: str) -> bool:
    """Return whether the process `worker` exists; true for a process elsewhere, false for this process.

    `worker` is an identifier from `own_worker_id`, or host:pid. A record found under the identifier of this process was
    left by an earlier process with the same id.
    """
    host, pid, _, start = _parts(worker)
    if is_elsewhere(worker) or not pid.isdigit():
        return bool(host)
    if int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _start_of(int(pid)) == start if start else not _is_zombie(int(pid))


def _parts(worker: str) -> tuple[str, str, str, str]:
    """(host, process id, namespace, start), "" for missing parts."""
    host, pid, start, namespace, *_ = [*worker.split(":"), "", "", "", ""]
    return host, pid, namespace, start


def _start_of(pid: int) -> str:
    """The start time of a process in clock ticks since boot; "" without /proc, "ended" for a zombie.

    Source: proc_pid_stat(5), field 22.
    """
    fields = _stat(pid)
    if not fields:
        return ""
    return "ended" if fields[0] in ("Z", "X") else fields[19]


def _is_zombie(pid: int) -> bool:
    return _start_of(pid) == "ended"


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which is in brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return ""
