"""`dlexp` as a process of its own at the price of a fork: importing torch takes seconds of every process that is new.

A server that has imported torch and dlexp, but has computed nothing, forks for each command: a process with its own
number, signals, streams, environment and exit code, which can be killed, as `python -m dlexp` is. The command line
itself (`dlexp.cli`) is imported in the child. For what an interpreter of its own does (its imports, its first settings,
the installed script, taking its modules apart in the end) start one. Its pictures have one pixel.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_LIMIT = 1 << 20  # bytes of a request: words and an environment
_server: Server | None = None
_ONE_PIXEL = memoryview(bytes(4 * [255])).cast("B", (1, 1, 4))  # of RGBA


class Process:
    """A command that is under way; what `subprocess.Popen` has with text=True, as far as tests use it."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
        leads_group: bool = False,
    ) -> None:
        self.args = ["dlexp", *words]
        self.returncode: int | None = None
        self.stdout, out = _stream(stdout)
        self.stderr, err = _stream(stderr)
        self._ended, tell = os.pipe()
        request = {"words": words, "cwd": str(cwd), "env": dict(env), "leads_group": leads_group}
        self.pid = _running().fork(request, [out, err, tell])
        for number in {out, err, tell} - {stdout, stderr}:
            os.close(number)

    def poll(self) -> int | None:
        """The exit code, None while the process runs."""
        return self._wait(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once there is one. Raises subprocess.TimeoutExpired."""
        found = self._wait(timeout)
        if found is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return found

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """(standard output, standard error), read until both end; empty where they were not piped."""
        streams = [stream for stream in (self.stdout, self.stderr) if stream is not None]
        with ThreadPoolExecutor(2) as pool:
            found = dict(zip(map(id, streams), pool.map(lambda stream: stream.read(), streams), strict=True))
        for stream in streams:
            stream.close()
        self.wait(timeout)
        return found.get(id(self.stdout), ""), found.get(id(self.stderr), "")

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """`kill -9`."""
        self.send_signal(signal.SIGKILL)

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            self.returncode = int(os.read(self._ended, 16) or b"-1")
            os.close(self._ended)
        return self.returncode


def run(*words: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `dlexp` to its end, its output captured."""
    own = os.environ if env is None else env
    process = Process(words, cwd=cwd, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def _stream(wanted: int) -> tuple[IO[str] | None, int]:
    """(what the test reads, what the child writes to)."""
    if wanted == subprocess.PIPE:
        read, write = os.pipe()
        return os.fdopen(read, encoding="utf-8"), write
    return None, os.open(os.devnull, os.O_WRONLY) if wanted == subprocess.DEVNULL else wanted


class Server:
    """The process that forks, as its client sees it."""

    def __init__(self) -> None:
        self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line = [sys.executable, str(Path(__file__)), str(there.fileno())]
        paths = os.pathsep.join(filter(None, sys.path))
        env = {key: value for key, value in os.environ.items() if not key.startswith(("DLEXP_", "PYTHONPATH"))}
        env |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
        self._process = subprocess.Popen(line, pass_fds=[there.fileno()], env=env, cwd="/", stdin=subprocess.DEVNULL)
        there.close()
        atexit.register(self.close)

    def fork(self, request: Mapping[str, Any], streams: list[int]) -> int:
        """The number of a new process that carries out the request."""
        content = json.dumps(request).encode()
        assert len(content) < _LIMIT
        self._here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _LIMIT)
        socket.send_fds(self._here, [content], streams)
        pid = self._here.recv(16)
        assert pid, "the server of prefork.py has ended"
        return int(pid)

    def close(self) -> None:
        """End the server; commands that run are their tests' own."""
        self._here.close()
        self._process.wait()


def unrender(patch: Callable[[object, str, object], object]) -> None:
    """Let figures be saved as a picture of one pixel: rendering takes most of a short run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    patch(FigureCanvasAgg, "draw", lambda _canvas: None)
    patch(FigureCanvasAgg, "buffer_rgba", lambda _canvas: _ONE_PIXEL)


def _running() -> Server:
    global _server
    if _server is None:
        _server = Server()
    return _server


def _import_everything() -> None:
    """All of dlexp but its command line, whose consoles read the environment when they are made."""
    from dlexp.runtime.machine import packages
    from dlexp.runtime.process import prepare_process

    prepare_process()  # as the command does, before torch is there
    for name in ("torch", "pandas", "sklearn.datasets", "hydra._internal.config_loader_impl"):
        importlib.import_module(name)
    import dlexp

    for name in _modules(dlexp.__path__, "dlexp."):
        importlib.import_module(name)
    unrender(setattr)
    packages()


def _modules(path: Any, prefix: str) -> Iterator[str]:
    for found in pkgutil.iter_modules(path, prefix):
        if found.name in ("dlexp.cli", "dlexp.__main__"):
            continue
        yield found.name
        if found.ispkg:
            yield from _modules(importlib.import_module(found.name).__path__, f"{found.name}.")


def _serve(channel: socket.socket) -> dict[str, Any] | None:
    """Fork for each request until the client is gone; returns the request in the child, None in the server."""
    tells: dict[int, int] = {}
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the tests' own, which then close the channel
    signal.signal(signal.SIGCHLD, lambda *_: None)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * _LIMIT)
    while True:
        waiting: list[socket.socket | int] = [channel, wake]
        ready = select.select(waiting, [], [])[0]
        if wake in ready:
            os.read(wake, 4096)
            _tell_of_the_ended(tells)
        if channel not in ready:
            continue
        content, streams, _, _ = socket.recv_fds(channel, _LIMIT, 3)
        if not content:
            return None
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (wake, woken, *tells.values(), channel.detach()):
                os.close(number)
            request: dict[str, Any] = json.loads(content)
            return {**request, "streams": streams}
        os.close(streams[0])
        os.close(streams[1])
        tells[pid] = streams[2]
        channel.send(str(pid).encode())


def _tell_of_the_ended(tells: dict[int, int]) -> None:
    for pid in list(tells):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            tell = tells.pop(pid)
            with suppress(BrokenPipeError):  # its test has ended
                os.write(tell, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(tell)


def _become(request: dict[str, Any]) -> None:
    """Be the process that was asked for: its folder, environment and streams."""
    out, err, tell = request["streams"]
    os.close(tell)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for number in {out, err} - {1, 2}:
        os.close(number)
    os.chdir(request["cwd"])
    if request["leads_group"]:
        os.setsid()
    settled = {name: os.environ[name] for name in ("GOMP_SPINCOUNT",) if name in os.environ}
    os.environ.clear()
    os.environ.update({**settled, **request["env"]})
    own = [path for path in request["env"].get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [path for path in own if path not in sys.path]
    sys.argv = ["dlexp", *request["words"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115


def main() -> None:
    """The server, or in a child of it the command."""
    _import_everything()
    gc.freeze()  # a collection in a child would copy every page of the server
    channel = socket.socket(fileno=int(sys.argv[1]))
    request = _serve(channel)
    if request is None:
        return
    try:
        _become(request)
    except BaseException:
        traceback.print_exc()
        os._exit(99)
    from dlexp.cli.app import main as command

    try:
        command()
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        _end(ended.code)


def _end(code: int) -> None:
    """End as an interpreter does, but leave the heap of the server whole: taking it apart takes seconds."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, and lets pools end
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or nobody reads any more
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
