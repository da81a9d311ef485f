"""Who runs a trial is known beyond a process id, which is given away again (T1)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dlexp.tune.storage import worker_id
from dlexp.tune.storage.worker_id import is_alive, is_elsewhere, own_worker_id


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def of(pid: int, start: str | None = None) -> str:
    host, _, _, namespace = own_worker_id().split(":")
    return f"{host}:{pid}:{worker_id._start_of(pid) if start is None else start}:{namespace}"


def test_a_process_is_alive_until_it_ends_even_as_a_zombie(child: subprocess.Popen[bytes]) -> None:
    name = of(child.pid)
    assert is_alive(name)
    assert is_alive(f"{socket.gethostname()}:{child.pid}")  # what a lock says
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has collected it
    assert not is_alive(name)
    assert not is_alive(f"{socket.gethostname()}:{child.pid}")
    child.wait()
    assert not is_alive(name)


def test_another_process_with_the_same_number_is_another_process(child: subprocess.Popen[bytes]) -> None:
    assert is_alive(of(child.pid))
    assert not is_alive(of(child.pid, start="12"))


def test_without_proc_the_number_decides(child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_id, "_stat", lambda _: [])
    monkeypatch.setattr(worker_id, "_namespace", lambda: "")
    assert own_worker_id() == f"{socket.gethostname()}:{os.getpid()}::"
    assert is_alive(of(child.pid))
    child.kill()
    child.wait()
    assert not is_alive(of(child.pid))


def test_what_this_process_left_behind_is_not_running() -> None:
    assert not is_alive(own_worker_id())
    assert is_alive(of(os.getppid()))
    assert not is_alive("")


def test_a_process_of_another_host_or_container_cannot_be_looked_for() -> None:
    host, pid, start, _ = own_worker_id().split(":")
    for name in ("elsewhere:1", f"elsewhere:{pid}:{start}:1", f"{host}:1:5:another-namespace"):
        assert is_elsewhere(name)
        assert is_alive(name)
    assert not is_elsewhere(own_worker_id())
    assert not is_elsewhere("")
