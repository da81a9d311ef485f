from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dlexp.runtime.process import available_cores, cgroup_quota, configure_allocator, prepare_process, spin_count

GLIBC = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc") if hasattr(os, "confstr") else False
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP and control groups are Linux's")


@LINUX
@pytest.mark.parametrize(
    ("environ", "value", "reason"),
    [
        ({}, "1000", "idle OpenMP threads"),
        ({"GOMP_SPINCOUNT": "5"}, "GOMP_SPINCOUNT=5", "GOMP_SPINCOUNT is set"),
        ({"OMP_WAIT_POLICY": "active"}, "OMP_WAIT_POLICY=active", "OMP_WAIT_POLICY is set"),
    ],
)
def test_a_waiting_policy_of_the_user_stays(environ: Mapping[str, str], value: str, reason: str) -> None:
    found = spin_count(environ)
    assert found.value == value
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"MALLOC_TRIM_THRESHOLD_": "1"}, "MALLOC_TRIM_THRESHOLD_ is set"),
        ({"MALLOC_MMAP_THRESHOLD_": "1"}, "MALLOC_MMAP_THRESHOLD_ is set"),
        ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}, "GLIBC_TUNABLES is set"),
        ({"LD_PRELOAD": "/usr/lib/libjemalloc.so.2"}, "LD_PRELOAD loads jemalloc"),
    ],
)
def test_an_allocator_of_the_user_stays(environ: Mapping[str, str], reason: str) -> None:
    found = configure_allocator(environ)
    assert (found.value, found.reason) == ("unchanged", reason)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise ValueError(name)

    monkeypatch.setattr(os, "confstr", unknown)
    found = configure_allocator({})
    assert (found.value, found.reason) == ("unchanged", "the C library of this system is not glibc")


def test_nothing_changes_where_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert {(entry.name, entry.value) for entry in prepare_process()} == {
        ("spin_count", "unchanged"),
        ("allocator", "unchanged"),
    }
    assert "GOMP_SPINCOUNT" not in os.environ


# Pages that are faulted in when 48 MiB are taken, written and given back six times, in the process and in a fork of it.
_FAULTS = """
import json, os, resource, sys
from dlexp.runtime.process import prepare_process
if sys.argv[1] == "settled":
    prepare_process()
assert "torch" not in sys.modules
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def faults():
    def once():
        block = libc.malloc(48 << 20)
        ctypes.memset(block, 1, 48 << 20)
        libc.free(block)
    once()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(6):
        once()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
own = faults()
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, str(faults()).encode())
    os._exit(0)
os.wait()
print(json.dumps([own, int(os.read(reading, 99)), os.environ.get("GOMP_SPINCOUNT")]))
"""


@pytest.mark.skipif(not GLIBC, reason="glibc's allocator alone is settled")
def test_freed_memory_is_kept_in_the_process_and_in_its_forks() -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    env = {name: value for name, value in os.environ.items() if name not in names}

    def run(how: str) -> list[int | str | None]:
        line = [sys.executable, "-c", _FAULTS, how]
        done = subprocess.run(line, capture_output=True, text=True, check=True, env=env)
        found: list[int | str | None] = json.loads(done.stdout)
        return found

    pages = (48 << 20) // os.sysconf("SC_PAGE_SIZE")
    settled, as_found = run("settled"), run("unchanged")
    assert all(isinstance(count, int) and count < 0.1 * pages for count in settled[:2]), settled
    assert all(isinstance(count, int) and count >= 6 * 0.9 * pages for count in as_found[:2]), as_found
    assert (settled[2], as_found[2]) == ("1000" if sys.platform == "linux" else None, None)


def test_a_number_of_threads_in_the_environment_decides() -> None:
    assert available_cores({"OMP_NUM_THREADS": "3"}) == (3, "OMP_NUM_THREADS is set")
    assert available_cores({"OMP_NUM_THREADS": "4,2"}) == (4, "OMP_NUM_THREADS is set")
    assert available_cores({"MKL_NUM_THREADS": "7"}) == (7, "MKL_NUM_THREADS is set")
    for nothing in ({}, {"OMP_NUM_THREADS": ""}, {"OMP_NUM_THREADS": "many"}, {"OMP_NUM_THREADS": "0"}):
        cores, reason = available_cores(nothing)
        assert 1 <= cores <= (os.cpu_count() or 1)
        assert "is set" not in reason


@LINUX
def test_cores_are_those_of_the_affinity_mask_and_of_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    for quota, cores in ((None, 8), (16.0, 8), (2.5, 2), (0.5, 1)):
        monkeypatch.setattr("dlexp.runtime.process.cgroup_quota", lambda root, own, quota=quota: quota)
        assert available_cores({})[0] == cores


def test_the_quota_is_the_least_of_a_group_and_of_those_that_hold_it(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    (root / "a" / "b").mkdir(parents=True)
    own.write_text("0::/a/b\n")
    assert cgroup_quota(root, own) is None
    (root / "a" / "b" / "cpu.max").write_text("max 100000\n")
    assert cgroup_quota(root, own) is None
    (root / "a" / "cpu.max").write_text("150000 100000\n")
    assert cgroup_quota(root, own) == 1.5
    (root / "a" / "b" / "cpu.max").write_text("50000 100000\n")
    assert cgroup_quota(root, own) == 0.5


def test_the_quota_of_the_first_version_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert cgroup_quota(tmp_path, tmp_path / "none") is None
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    assert cgroup_quota(tmp_path, tmp_path / "none") == 3.0
