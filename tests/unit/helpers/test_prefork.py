"""A forked command is a process: its own number, folder, environment, streams, signals and exit code."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import prefork
import pytest
from PIL import Image

from dlexp.report.figures.evaluation import mistakes_png


def test_a_command_has_its_own_folder_environment_and_streams(tmp_path: Path) -> None:
    elsewhere = {**os.environ, "DLEXP_RUNS_DIR": "elsewhere"}
    words = ("train", "data=iris", "model.hidden=[4]", "trainer.epochs=1", "trainer.device=cpu", "--run-id", "one")
    done = prefork.run(*words, "--json", cwd=tmp_path, env=elsewhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")
    assert "{" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
    (lock,) = tmp_path.rglob("one/.lock")
    assert f"process {os.getpid()} " not in lock.read_text()
    (curves,) = tmp_path.rglob("curves.png")
    assert Image.open(io.BytesIO(curves.read_bytes())).size == (1, 1)


@pytest.mark.parametrize("is_rendered", [False, pytest.param(True, marks=pytest.mark.pictures)])
def test_a_figure_is_rendered_where_somebody_looks_at_it(is_rendered: bool) -> None:
    content = mistakes_png(np.zeros((1, 1, 8, 8)), [("a", "b", "60 %")], "val")
    width, height = Image.open(io.BytesIO(content)).size
    assert width > 300 and height > 200 if is_rendered else (width, height) == (1, 1)


def test_the_end_of_a_command_waits_for_threads_runs_what_was_registered_and_writes_its_streams() -> None:
    code = (
        "import atexit, threading, time, prefork\n"
        "atexit.register(print, 'registered')\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\n"
        "prefork._end(7)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(prefork.__file__).parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (7, "thread\nregistered\n", "")


def test_a_refusal_ends_with_its_code(tmp_path: Path) -> None:
    done = prefork.run("train", "data=irs", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "data=iris" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_reaches_the_command_alone(number: int, code: int, tmp_path: Path) -> None:
    quiet = subprocess.DEVNULL
    words = ("train", "-q", "data=iris", "model.hidden=[4]", "trainer.epochs=100000", "-o", "run")
    process = prefork.Process(words, cwd=tmp_path, env=os.environ, stdout=quiet, stderr=quiet, leads_group=True)
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.01)  # polling another process: there is nothing to be notified by
    assert os.getpgid(process.pid) == process.pid
    process.send_signal(number)
    assert process.wait(60) == code
    assert process.communicate() == ("", "")
    assert prefork.run("--version", cwd=tmp_path).returncode == 0
