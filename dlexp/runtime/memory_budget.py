"""How much memory this process holds, and how much it may come to hold, in bytes."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

# What a run may take of what there is: other programs, fragments and an odd batch need the rest.
SHARE = {"cpu": 0.8, "cuda": 0.9}
_ENDLESS = 1 << 60  # cgroups of version 1 write "no limit" as a number near 2**63


def room(device: torch.device, root: Path = Path("/")) -> tuple[int, str]:
    """(bytes that a run on `device` may have at its peak, what sets that bound).

    On a CPU: a share of what this process holds and could get of the machine, of its cgroup and of its resource limits.
    On a GPU: a share of all its memory, which what others hold there counts against.

    root  where /proc and /sys are
    """
    if device.type == "cuda":
        _, total = torch.cuda.mem_get_info(device)
        return int(SHARE["cuda"] * total), f"{SHARE['cuda']:.0%} of the GPU's {_gib(total)}"
    free, name = min(_bounds(root))
    return int(SHARE["cpu"] * free), f"{SHARE['cpu']:.0%} of the {_gib(free)} that {name} lets this process have"


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that this process could get beside what it holds, without swapping and within its limits."""
    own = _status(root).get("VmRSS", 0) or _maxrss()
    return max(0, min(_bounds(root))[0] - own)


def peak(device: torch.device) -> int:
    """The most that this process has held; on a GPU what is held there now by anyone, with this process at its most."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free - torch.cuda.memory_reserved(device) + torch.cuda.max_memory_reserved(device)
    status = _status()
    # Not getrusage: what it says of a new process includes the one that started it.
    return status.get("VmHWM") or _maxrss()


def bound_allocations(limit: int) -> None:
    """Let allocations fail, in place of the machine coming to a halt, once this process holds `limit` bytes.

    Does nothing where the system does not say what is held (only Linux does).
    """
    status = _status()
    if "VmData" in status:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = status["VmData"] + max(0, limit - status["VmRSS"])
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _bounds(root: Path) -> Iterator[tuple[int, str]]:
    """(bytes that this process holds and could get more, who says so)."""
    status = _status(root)
    own = status.get("VmRSS", 0) or _maxrss()
    machine = _kilobytes(root / "proc/meminfo")
    yield own + machine.get("MemAvailable", _half_of_all()), "the machine"
    for limit, used in _cgroups(root):
        yield own + max(0, limit - used), "the cgroup"
    for kind, held in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY and held in status:
            yield own + max(0, soft - status[held]), "a resource limit (ulimit)"


def _cgroups(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, what is used of it without file cache that can be dropped) of this process's cgroup and those above."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, place = [*line.split(":", 2), "", ""][:3]
        if controllers not in ("", "memory"):
            continue
        base = root / "sys/fs/cgroup" / controllers
        names = ("memory.max", "memory.current") if not controllers else _FIRST_VERSION
        folder = base / place.strip("/")
        while folder.is_relative_to(base):
            limit, used = (_text(folder / name).strip() for name in names)
            if limit.isdigit() and used.isdigit() and int(limit) < _ENDLESS:
                stat = dict(pair for row in _text(folder / "memory.stat").splitlines() if len(pair := row.split()) == 2)
                yield int(limit), int(used) - int(stat.get("inactive_file", 0))
            folder = folder.parent


_FIRST_VERSION = ("memory.limit_in_bytes", "memory.usage_in_bytes")


def _status(root: Path = Path("/")) -> dict[str, int]:
    return _kilobytes(root / "proc/self/status")


def _kilobytes(path: Path) -> dict[str, int]:
    """`Name:  123 kB` lines of a file of /proc, in bytes; {} where there is none."""
    rows = (line.split() for line in _text(path).splitlines())
    return {row[0].rstrip(":"): 1024 * int(row[1]) for row in rows if len(row) == 3 and row[2] == "kB"}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _half_of_all() -> int:
    """What may be free where the system does not say it."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _maxrss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.2f} GiB"
