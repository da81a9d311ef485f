"""How much memory this process may still take."""

from __future__ import annotations

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
# (limit, use) as the two versions of control groups name them.
_GROUP_FILES = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def available_memory() -> int:
    """Bytes that can be taken without swapping, and within the limit of the container where there is one.

    Where the system does not tell what is free, half of what it has.
    """
    return min([_of_system(), *_of_container()])


def _of_system() -> int:
    if _MEMINFO.is_file():
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_container() -> list[int]:
    """What the control group leaves; page cache counts as used there, so this is on the safe side."""
    for limit, used in _GROUP_FILES:
        try:
            return [max(0, int((_CGROUP / limit).read_text()) - int((_CGROUP / used).read_text()))]
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
    return []
