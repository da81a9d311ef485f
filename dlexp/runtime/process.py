"""Process settings that must precede the import of torch: waiting of OpenMP threads, memory allocation, cores.

Standard library only, and fast: every command runs this first. Settings of the user in the environment have priority.
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
# Environment variables by which a user configures glibc's malloc.
_MALLOC_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_")
_OTHER_ALLOCATORS = ("jemalloc", "tcmalloc", "mimalloc")


@dataclass(frozen=True)
class MachineSetting:
    """One setting of how this machine is used.

    value     the value in use, as text
    reason    why it was chosen
    override  the configuration key or environment variable to change it
    """

    name: str
    value: str
    reason: str
    override: str

    def as_dict(self) -> dict[str, str]:
        """Plain values, by field."""
        return {"value": self.value, "reason": self.reason, "override": self.override}


@cache
def prepare_process() -> tuple[MachineSetting, ...]:
    """Apply the settings that OpenMP and the allocator read once, and return them; later calls return the same.

    Processes that are forked later inherit them. Changes nothing if torch is already loaded, which is never the case
    in the `dlexp` command.
    """
    if "torch" in sys.modules:
        reason = "torch was loaded before dlexp; the dlexp command sets this first"
        return (
            MachineSetting("spin_count", os.environ.get("GOMP_SPINCOUNT", "unchanged"), reason, "GOMP_SPINCOUNT"),
            MachineSetting("allocator", "unchanged", reason, "MALLOC_TRIM_THRESHOLD_"),
        )
    spin = spin_count(os.environ)
    if spin.value.isdigit():
        os.environ.setdefault("GOMP_SPINCOUNT", spin.value)
    return spin, configure_allocator(os.environ)


def spin_count(environ: Mapping[str, str]) -> MachineSetting:
    """The setting of how long an idle OpenMP thread keeps its core.

    By default it spins for long: with another busy process, two threads then run at a fifth of the speed of one. A
    short spin costs a tenth of the speed on an idle machine (docs/explanation/performance.md).
    """
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        if name in environ:
            return MachineSetting("spin_count", f"{name}={environ[name]}", f"{name} is set", name)
    if sys.platform != "linux":
        return MachineSetting("spin_count", "unchanged", "GOMP_SPINCOUNT is for GNU's OpenMP only", "OMP_WAIT_POLICY")
    reason = (
        "idle OpenMP threads release their core: with another busy process, two spinning threads are slower than one"
    )
    return MachineSetting("spin_count", _SPIN, reason, "GOMP_SPINCOUNT")


def configure_allocator(environ: Mapping[str, str]) -> MachineSetting:
    """Make glibc's malloc keep freed memory, and use it for large blocks too.

    By default it may return the memory of the activations to the system after each step and fetch it again page by
    page, which can make a step 1.4 times as long (docs/explanation/performance.md).
    """
    override = "MALLOC_TRIM_THRESHOLD_"
    found = _other_allocator(environ)
    if found:
        return MachineSetting("allocator", "unchanged", found, override)
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    size = next((size for size in _MMAP_THRESHOLDS if mallopt(_M_MMAP_THRESHOLD, size)), 0)
    if not size:  # setting only the other threshold would fix this one at 128 KiB
        return MachineSetting("allocator", "unchanged", "this glibc rejects M_MMAP_THRESHOLD", override)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
    reason = "glibc's malloc keeps freed memory instead of returning it and faulting it in again at each step"
    return MachineSetting("allocator", f"keeps memory, blocks up to {size >> 20} MiB", reason, override)


def available_cores(environ: Mapping[str, str] = os.environ) -> tuple[int, str]:
    """(number of cores this process may use, reason): the smaller of affinity mask and cgroup quota.

    OMP_NUM_THREADS and MKL_NUM_THREADS have priority over both.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        first = environ.get(name, "").partition(",")[0].strip()
        if first.isdigit() and int(first) > 0:
            return int(first), f"{name} is set"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    if quota is not None and quota < cores:
        return max(1, int(quota)), f"the cgroup allows {quota:g} of {cores} cores"
    return (
        cores,
        f"all {cores} cores available to this process" if cores > 1 else "the only core available to this process",
    )


def cgroup_quota(root: Path, membership: Path) -> float | None:
    """The CPU quota of the control group in cores; None without limit.

    root        mount point of control groups, version 2 or 1
    membership  the file that names the group of this process, /proc/self/cgroup
    """
    limits = [_quota_v2(folder) for folder in _groups(root, membership)]
    limits.append(_quota_v1(root / "cpu"))
    found = [limit for limit in limits if limit is not None]
    return min(found) if found else None


def _groups(root: Path, membership: Path) -> list[Path]:
    """The folders of the group of this process and of its parents; in a container, the root is the group itself."""
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
    """The reason why glibc's malloc is not configured, "" if it is."""
    set_here = [name for name in _MALLOC_VARIABLES if name in environ]
    if "glibc.malloc." in environ.get("GLIBC_TUNABLES", ""):
        set_here.append("GLIBC_TUNABLES")
    if set_here:
        return f"{set_here[0]} is set"
    preloaded = next((name for name in _OTHER_ALLOCATORS if name in environ.get("LD_PRELOAD", "")), "")
    if preloaded:
        return f"LD_PRELOAD loads {preloaded}"
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        version = ""
    return "" if version.startswith("glibc") else "the C library of this system is not glibc"
