"""What the programs that time things have in common: the cost of a whole process, and the spread of several values."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Cost(NamedTuple):
    """Wall seconds of a process, and processor seconds (user and system) of it and of all that it started."""

    wall: float
    processor: float


def cost(
    line: Sequence[str], env: Mapping[str, str] | None = None, folder: str | None = None, check: bool = True
) -> Cost:
    """What a process costs from its start to its end. Raises CalledProcessError when it fails and `check` is true.

    Python may keep what it compiles, as it does for a package that is installed: the first round pays for it.
    """
    env = {name: value for name, value in (env or os.environ).items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(line, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=check)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median and range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
