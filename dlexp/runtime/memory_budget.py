"""Memory budget of this process: memory in use and memory available, in bytes."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

# Share of the memory for a run; the rest is for other programs, fragmentation and larger batches.
SHARE = {"cpu": 0.8, "cuda": 0.9}
_ENDLESS = 1 << 60  # cgroups of version 1 write "no limit" as a number near 2**63


def room(device: torch.device, root: Path = Path("/")) -> tuple[int, str]:
    """(peak memory allowed for a run on `device` in bytes, description of the limit).

    On a CPU: a share of the memory in use plus that available on the machine, in the cgroup and under resource limits.
    On a GPU: a share of its total memory, including that of other processes.

    root  parent of /proc and /sys
    """
    if device.type == "cuda":
        _, total = torch.cuda.mem_get_info(device)
        return int(SHARE["cuda"] * total), f"{100 * SHARE['cuda']:.0f} % of the GPU's {_gib(total)}"
    free, name = min(_bounds(root))
    return int(
        SHARE["cpu"] * free
    ), f"{100 * SHARE['cpu']:.0f} % of the {_gib(free)} available to this process ({name})"


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that this process can still allocate, without swapping and within its limits."""
    own = _status(root).get("VmRSS", 0) or _maxrss()
    return max(0, min(_bounds(root))[0] - own)


def peak(device: torch.device) -> int:
    """Peak memory of this process in bytes; on a GPU, its peak plus the current memory of other processes."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free - torch.cuda.memory_reserved(device) + torch.cuda.max_memory_reserved(device)
    status = _status()
    # Not getrusage, which includes the parent in the peak of a new process.
    return status.get("VmHWM") or _maxrss()


def bound_allocations(limit: int) -> None:
    """Make allocations fail once this process holds `limit` bytes, instead of exhausting the machine.

    Does nothing except on Linux, where the memory in use is known.
    """
    status = _status()
    if "VmData" in status:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = status["VmData"] + max(0, limit - status["VmRSS"])
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _bounds(root: Path) -> Iterator[tuple[int, str]]:
    """(bytes in use plus bytes available, name of the limit)."""
    status = _status(root)
    own = status.get("VmRSS", 0) or _maxrss()
    machine = _kilobytes(root / "proc/meminfo")
    yield own + machine.get("MemAvailable", _half_of_all()), "the machine"
    for limit, used in _cgroups(root):
        yield own + max(0, limit - used), "the cgroup"
    for kind, field in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY and field in status:
            yield own + max(0, soft - status[field]), "a resource limit (ulimit)"


def _cgroups(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, bytes in use without reclaimable file cache) of the cgroup of this process and its parents."""
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
    """`Name:  123 kB` lines of a file of /proc, in bytes; {} without such a file."""
    rows = (line.split() for line in _text(path).splitlines())
    return {row[0].rstrip(":"): 1024 * int(row[1]) for row in rows if len(row) == 3 and row[2] == "kB"}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _half_of_all() -> int:
    """Half of the memory of the machine: an estimate if the available memory is unknown."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _maxrss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.2f} GiB"
