"""What must be settled before torch is loaded: how OpenMP waits, how memory is allocated, how many cores there are.

Standard library only, and milliseconds: the command does this before it knows what it is asked for. What the user has
set in the environment stays as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_SPIN = "1000"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_MMAP_THRESHOLDS = (1 << 30, 32 << 20)  # older versions of glibc take no more than the second
_NEVER = -1
# What a user of glibc sets when they want it otherwise.
_MALLOC_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_")
_OTHER_ALLOCATORS = ("jemalloc", "tcmalloc", "mimalloc")


@dataclass(frozen=True)
class Setting:
    """One decision about how this machine is used.

    value     what holds, as text
    reason    why
    override  the key or the environment variable that decides otherwise
    """

    name: str
    value: str
    reason: str
    override: str

    def as_dict(self) -> dict[str, str]:
        """As plain values."""
        return {"value": self.value, "reason": self.reason, "override": self.override}


@cache
def prepare_process() -> tuple[Setting, ...]:
    """Settle what OpenMP and the allocator read once; returns what was settled, again when asked again.

    Processes that are forked later have the same settings. In a process that has torch already, which the `dlexp`
    command's is not, nothing is changed.
    """
    if "torch" in sys.modules:
        reason = "torch was loaded before dlexp was asked; the dlexp command settles this first"
        return (
            Setting("spin_count", os.environ.get("GOMP_SPINCOUNT", "as found"), reason, "GOMP_SPINCOUNT"),
            Setting("allocator", "as found", reason, "MALLOC_TRIM_THRESHOLD_"),
        )
    spin = spin_count(os.environ)
    if spin.value.isdigit():
        os.environ.setdefault("GOMP_SPINCOUNT", spin.value)
    return spin, settle_allocator(os.environ)


def spin_count(environ: Mapping[str, str]) -> Setting:
    """How long an OpenMP thread that has nothing to do keeps its core.

    By default it spins for long: beside one busy process two threads then run at a fifth of the speed of one. A short
    spin costs a tenth when the machine is free (docs/explanation/performance.md).
    """
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        if name in environ:
            return Setting("spin_count", f"{name}={environ[name]}", f"{name} is set", name)
    if sys.platform != "linux":
        return Setting("spin_count", "as found", "GOMP_SPINCOUNT is read by GNU's OpenMP alone", "OMP_WAIT_POLICY")
    reason = "waiting OpenMP threads give their core up: beside a busy process two that spin are slower than one"
    return Setting("spin_count", _SPIN, reason, "GOMP_SPINCOUNT")


def settle_allocator(environ: Mapping[str, str]) -> Setting:
    """Let glibc's malloc keep the memory that it has, and take large blocks from it too.

    By default it may give the memory of a step's activations back to the system and fetch it again in the next, page
    by page: in an unlucky process that costs 1.4 times the step (docs/explanation/performance.md).
    """
    override = "MALLOC_TRIM_THRESHOLD_"
    found = _other_allocator(environ)
    if found:
        return Setting("allocator", "as found", found, override)
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    size = next((size for size in _MMAP_THRESHOLDS if mallopt(_M_MMAP_THRESHOLD, size)), 0)
    if not size:  # the other threshold alone would fix this one at 128 KiB
        return Setting("allocator", "as found", "this glibc refuses M_MMAP_THRESHOLD", override)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
    reason = "glibc's malloc keeps freed memory instead of giving it back and faulting it in again at each step"
    return Setting("allocator", f"kept, blocks up to {size >> 20} MiB", reason, override)


def available_cores(environ: Mapping[str, str] = os.environ) -> tuple[int, str]:
    """(how many cores this process may use, why): the affinity mask and the cgroup's quota, whichever is less.

    OMP_NUM_THREADS and MKL_NUM_THREADS decide before both.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        first = environ.get(name, "").partition(",")[0].strip()
        if first.isdigit() and int(first) > 0:
            return int(first), f"{name} is set"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    if quota is not None and quota < cores:
        return max(1, int(quota)), f"the cgroup allows {quota:g} of {cores} cores"
    return cores, f"all {cores} cores that this process may use" if cores > 1 else "the only core of this process"


def cgroup_quota(root: Path, membership: Path) -> float | None:
    """Cores that the control group's processor quota amounts to; None where there is no limit.

    root        where control groups are mounted, version 2 or 1
    membership  the file that names this process's own group, /proc/self/cgroup
    """
    limits = [_quota_v2(folder) for folder in _groups(root, membership)]
    limits.append(_quota_v1(root / "cpu"))
    found = [limit for limit in limits if limit is not None]
    return min(found) if found else None


def _groups(root: Path, membership: Path) -> list[Path]:
    """The folders of the process's own group and of all that hold it; in a container the root is the own one."""
    lines = _text(membership).splitlines()
    own = next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), "")
    parts = Path(own).parts
    return [root.joinpath(*parts[:count]) for count in range(len(parts) + 1) if ".." not in parts]


def _quota_v2(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdigit() and int(words[1]) else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _other_allocator(environ: Mapping[str, str]) -> str:
    """Why glibc's malloc is left alone, "" where it is to be settled."""
    set_here = [name for name in _MALLOC_VARIABLES if name in environ]
    if "glibc.malloc." in environ.get("GLIBC_TUNABLES", ""):
        set_here.append("GLIBC_TUNABLES")
    if set_here:
        return f"{set_here[0]} is set"
    preloaded = next((name for name in _OTHER_ALLOCATORS if name in environ.get("LD_PRELOAD", "")), "")
    if preloaded:
        return f"LD_PRELOAD brings {preloaded}"
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        version = ""
    return "" if version.startswith("glibc") else "this system's C library is not glibc"
