"""Who runs a trial: host, process id, when that process started and in which namespace of ids, as one word.

A process id alone is given to another process sooner or later, and two containers of one host may each have a 1.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path


def me() -> str:
    """This process."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_start_of(pid)}:{_namespace()}"


def is_elsewhere(owner: str) -> bool:
    """Whether `owner` is a process that cannot be looked for here: of another host, or of another container."""
    host, _, namespace, _ = _parts(owner)
    return bool(host) and (host != socket.gethostname() or namespace not in ("", _namespace()))


def is_alive(owner: str) -> bool:
    """Whether the process is there; one that is elsewhere is taken to be, and this process itself is not.

    `owner` is what `me` gave, or host:pid alone. A process asks this for what it finds, so under its own name that is
    what it left behind earlier, or what an older process of the same id did.
    """
    host, pid, _, start = _parts(owner)
    if is_elsewhere(owner) or not pid.isdigit():
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


def _parts(owner: str) -> tuple[str, str, str, str]:
    """(host, process id, namespace, start), "" for what the word does not say."""
    host, pid, start, namespace, *_ = [*owner.split(":"), "", "", "", ""]
    return host, pid, namespace, start


def _start_of(pid: int) -> str:
    """When the process started, in ticks since the system did; "" where the system has no /proc, "ended" for a zombie.

    Source: proc_pid_stat(5), field 22.
    """
    fields = _stat(pid)
    if not fields:
        return ""
    return "ended" if fields[0] in ("Z", "X") else fields[19]


def _is_zombie(pid: int) -> bool:
    return _start_of(pid) == "ended"


def _stat(pid: int) -> list[str]:
    """The fields after the name, which is in brackets and may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return ""
