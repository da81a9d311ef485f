"""How much memory a process may have: what the machine, cgroups of both versions and resource limits say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dlexp.runtime.matmul_rate import matrix_rate
from dlexp.runtime.memory_budget import SHARE, peak, room

CPU = torch.device("cpu")
MIB = 1 << 20


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def machine(available: int = 1000) -> dict[str, str]:
    """A machine with so many MiB to spare, on which this process holds 100."""
    status = f"Name:\tpython\nVmRSS:\t  {100 * 1024} kB\nThreads:\t3\n"
    return {"proc/meminfo": f"MemTotal: 9999999 kB\nMemAvailable:  {available * 1024} kB\n", "proc/self/status": status}


def cgroup(*levels: tuple[str, str, int, int]) -> dict[str, str]:
    """(place, limit, MiB used, MiB of them droppable file cache) of each cgroup; the process is in the first."""
    files = {"proc/self/cgroup": f"0::/{levels[0][0]}\n"}
    for place, limit, used, cache in levels:
        folder = f"sys/fs/cgroup/{place}".rstrip("/")
        files |= {
            f"{folder}/memory.max": f"{limit}\n",
            f"{folder}/memory.current": f"{used * MIB}\n",
            f"{folder}/memory.stat": f"anon 5\ninactive_file {cache * MIB}\n",
        }
    return files


FIRST = {
    "proc/self/cgroup": "12:cpu,cpuacct:/jobs\n9:memory:/jobs/a\n",
    "sys/fs/cgroup/memory/jobs/a/memory.limit_in_bytes": f"{300 * MIB}\n",
    "sys/fs/cgroup/memory/jobs/a/memory.usage_in_bytes": f"{250 * MIB}\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{900 * MIB}\n",
}


@pytest.mark.parametrize(
    ("files", "free", "name"),
    [
        (machine(), 1100, "the machine"),
        (machine() | cgroup(("", "max", 500, 0)), 1100, "the machine"),
        (machine() | cgroup(("a/b", str(600 * MIB), 500, 30)), 230, "the cgroup"),
        (machine() | cgroup(("a/b", "max", 1, 0), ("a", str(600 * MIB), 500, 0)), 200, "the cgroup"),  # the one above
        (machine() | cgroup(("a", str(600 * MIB), 700, 0)), 100, "the cgroup"),  # over it already: what it holds
        (machine() | FIRST, 150, "the cgroup"),
    ],
)
def test_the_smallest_bound_counts(files: dict[str, str], free: int, name: str, tmp_path: Path) -> None:
    limit, bound = room(CPU, write(tmp_path, files))
    assert limit == int(SHARE["cpu"] * free * MIB)
    assert name in bound


def test_this_machine_has_room_and_this_process_holds_something() -> None:
    limit, _ = room(CPU)
    assert peak(CPU) > 50 * MIB
    assert 0 < limit < 1 << 50


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process holds")
def test_allocations_beyond_the_bound_fail_and_those_below_do_not() -> None:
    code = (
        "import torch; from dlexp.runtime.memory_budget import bound_allocations, peak\n"
        "held = peak(torch.device('cpu')); bound_allocations(held + (300 << 20))\n"
        "small = torch.zeros(100 << 20, dtype=torch.uint8); print('small')\n"
        "try:\n    torch.zeros(400 << 20, dtype=torch.uint8); print('large')\n"
        "except RuntimeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("small")
    assert "can't allocate memory" in done.stdout
    assert "large" not in done.stdout


def test_the_matrix_rate_counts_two_operations_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlexp.runtime.matmul_rate._SIZES", {"cpu": (10, 20)})
    ticks = iter(range(10**6))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))  # every product takes a second
    monkeypatch.setattr("dlexp.runtime.matmul_rate._SECONDS", 4)
    assert matrix_rate(CPU, torch.bfloat16, lambda: None) == (2 * 20**3, 20)
