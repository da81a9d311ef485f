from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from dlexp.artifacts.runs.run_dir import RunDir, named_run, newest_runs, newest_unfinished
from dlexp.errors import ConfigError, DataError, Diverged, DlexpError, Interrupted

OWNER = """
import sys, time
from pathlib import Path
from dlexp.artifacts.runs.run_dir import RunDir
run = RunDir(Path(sys.argv[1]))
with run.lock(), run.recording(5):
    run.beat(2)
    print("locked", flush=True)
    sys.stdin.read()
"""
CREATE = """
import sys
from pathlib import Path
from dlexp.artifacts.runs.run_dir import RunDir
sys.stdin.read(1)
for _ in range(8):
    print(RunDir.create("train", "same", None).path.resolve())
"""


def new_run(name: str = "run", exact: Path | None = None) -> RunDir:
    run = RunDir.create("train", name, exact)
    (run / "config.yaml").write_text("seed: 1\n")
    return run


@contextmanager
def owned(run: RunDir) -> Iterator[subprocess.Popen[str]]:
    """Another process that trains in `run`."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", OWNER, str(run.path)], **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield process
        finally:
            process.kill()


def end(run: RunDir, state: str, order: int) -> RunDir:
    """A run that is over, started as number `order`."""
    (run / "status.json").write_text(
        json.dumps({"state": state, "epoch": 1, "epochs": 2, "reason": "", "exit_code": 0})
    )
    os.utime(run / "config.yaml", ns=(order, order))
    return run


def test_a_new_directory_is_named_by_time_and_name_under_outputs() -> None:
    path = new_run("mlp-iris").path
    assert path.parent == Path("outputs/train")
    assert path.name[8] == "-"
    assert path.name[15:25] == "-mlp-iris-"


def test_outputs_go_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLEXP_RUNS_DIR", str(tmp_path / "elsewhere"))
    assert new_run().path.parent == tmp_path / "elsewhere" / "train"


def test_threads_that_start_at_once_get_a_directory_each() -> None:
    with ThreadPoolExecutor(32) as pool:
        paths = [run.path for run in pool.map(lambda _: RunDir.create("train", "same", None), range(256))]
    assert len(set(paths)) == 256
    assert all(path.is_dir() for path in paths)


def test_processes_that_start_at_once_get_a_directory_each() -> None:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", CREATE], **pipes) for _ in range(4)]
    for process in processes:  # all are let go before any is waited for
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    made = [path for process in processes for path in process.communicate()[0].split()]
    assert len(made) == 32
    assert len(set(made)) == 32


def test_a_name_that_is_taken_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([b"\xaa\xaa", b"\xaa\xaa", b"\xbb\xbb"])
    monkeypatch.setattr("dlexp.artifacts.runs.run_dir.os.urandom", lambda count: next(drawn))
    monkeypatch.setattr("dlexp.artifacts.runs.run_dir.stamp", lambda: "20260101-000000")
    names = [RunDir.create("train", "x", None).path.name for _ in range(2)]
    assert names == ["20260101-000000-x-aaaa", "20260101-000000-x-bbbb"]


def test_an_exact_directory_is_used_when_it_is_new_or_empty(tmp_path: Path) -> None:
    assert RunDir.create("train", "x", tmp_path / "a" / "b").path == tmp_path / "a" / "b"
    (tmp_path / "a" / "b" / ".lock").touch()
    RunDir.create("train", "x", tmp_path / "a" / "b")


def test_an_exact_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as caught:
        RunDir.create("train", "x", tmp_path)
    refused(caught.value, "already-exists", "--run-dir")
    with pytest.raises(ConfigError) as caught:
        RunDir.create("train", "x", tmp_path / "file")
    refused(caught.value, "already-exists", "--run-dir")
    run = new_run(exact=tmp_path / "run")
    with pytest.raises(ConfigError) as caught:
        RunDir.create("train", "x", run.path)
    refused(caught.value, "already-exists", "--run-dir", f"dlexp train --resume {run.path}")


def test_a_second_owner_is_refused_and_told_the_first() -> None:
    run = new_run()
    with owned(run) as process:
        assert run.is_locked()
        with pytest.raises(ConfigError) as caught, run.lock():
            pass
        refused(caught.value, "in-use", str(run.path))
        assert f"process {process.pid} on " in str(caught.value)
    assert not run.is_locked()
    with run.lock():
        assert RunDir(run.path).is_locked()


def test_the_owner_removes_what_a_killed_writer_left() -> None:
    run = new_run()
    (run / ".tmp-99-last.pt").touch()
    with run.lock():
        assert not (run / ".tmp-99-last.pt").exists()


def test_who_only_looks_neither_counts_as_an_owner_nor_keeps_one_out() -> None:
    run = new_run()
    assert not run.is_locked()
    with run.lock():
        pass
    with (run / ".lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not run.is_locked()


def test_a_look_at_the_wrong_moment_does_not_refuse_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run()
    (run / ".lock").touch()
    with (run / ".lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        monkeypatch.setattr(
            "dlexp.artifacts.runs.run_dir.time.sleep", lambda seconds: fcntl.flock(looking, fcntl.LOCK_UN)
        )
        with run.lock():
            assert RunDir(run.path).is_locked()


def test_a_killed_run_is_interrupted_whatever_it_said_last() -> None:
    run = new_run()
    with owned(run):
        assert (run.status().state, run.status().epoch, run.status().epochs) == ("running", 2, 5)
    status = run.status()
    assert json.loads((run / "status.json").read_text())["state"] == "running"
    assert (status.state, status.epoch, status.exit_code) == ("interrupted", 2, None)
    assert "killed" in status.reason


@pytest.mark.parametrize("is_there", [False, True])
def test_a_run_without_a_word_is_running_while_locked_and_interrupted_after(is_there: bool) -> None:
    run = new_run()
    if is_there:  # as a power cut may leave it
        (run / "status.json").touch()
    with run.lock():
        assert run.status().state == "running"
    assert run.status().state == "interrupted"


def test_a_run_that_ends_well_is_finished() -> None:
    run = new_run()
    with run.recording(3):
        run.beat(3)
    status = run.status()
    assert (status.state, status.epoch, status.epochs, status.exit_code) == ("finished", 3, 3, 0)


@pytest.mark.parametrize(
    ("error", "state", "code", "reason"),
    [
        (Interrupted("SIGTERM received", 75), "interrupted", 75, "SIGTERM received"),
        (KeyboardInterrupt(), "interrupted", 130, "KeyboardInterrupt"),
        (Diverged("loss is nan"), "failed", 4, "loss is nan"),
        (DataError("no rows"), "failed", 3, "no rows"),
        (DlexpError("disk full"), "failed", 1, "disk full"),
        (RuntimeError(), "failed", 1, "RuntimeError"),
    ],
)
def test_a_run_that_fails_says_how(error: BaseException, state: str, code: int, reason: str) -> None:
    run = new_run()
    with pytest.raises(type(error)), run.recording(3):
        raise error
    status = run.status()
    assert (status.state, status.exit_code, status.reason) == (state, code, reason)


def test_a_failure_to_record_does_not_hide_the_failure_itself() -> None:
    run = new_run()
    with pytest.raises(Diverged, match="nan") as caught, run.recording(3):
        (run / "status.json").unlink()
        (run / "status.json").mkdir()
        raise Diverged("nan")
    assert "status.json" in caught.value.__notes__[0]


def test_a_continued_run_keeps_its_start_and_its_epochs() -> None:
    run = new_run()
    with pytest.raises(Interrupted), run.recording(3):
        run.beat(2)
        raise Interrupted("stop", 75)
    word = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(word | {"started": "long ago"}))
    with RunDir(run.path).recording(6):
        again = json.loads((run / "status.json").read_text())
    assert (again["started"], again["epoch"], again["epochs"], again["state"]) == ("long ago", 2, 6, "running")
    assert again["exit_code"] is None


def test_a_beat_between_epochs_is_written_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    run, now = new_run(), [1000.0]
    monkeypatch.setattr("dlexp.artifacts.runs.run_dir.time.monotonic", lambda: now[0])
    with run.recording(3):
        (run / "status.json").unlink()
        now[0] += 9.0
        run.beat()
        assert not (run / "status.json").exists()
        now[0] += 2.0
        run.beat()
        assert (run / "status.json").exists()


def test_epochs_are_each_once_a_second_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    run, now = new_run(), [1000.0]
    monkeypatch.setattr("dlexp.artifacts.runs.run_dir.time.monotonic", lambda: now[0])
    reported = []
    with run.recording(100):
        for epoch in range(1, 31):
            run.beat(epoch)
            reported.append(json.loads((run / "status.json").read_text())["epoch"])
            now[0] += 0.125
    assert reported == [1] * 8 + [9] * 8 + [17] * 8 + [25] * 6
    assert run.status().epoch == 30


def test_latest_names_the_newest_run_by_a_relative_link() -> None:
    first, second = new_run("a"), new_run("b")
    first.point_latest()
    second.point_latest()
    latest = Path("outputs/latest")
    assert latest.resolve() == second.path.resolve()
    assert not latest.readlink().is_absolute()
    assert named_run("latest").resolve() == second.path.resolve()
    assert RunDir.find(latest).path == second.path.resolve()


def test_a_run_elsewhere_does_not_become_latest(tmp_path: Path) -> None:
    new_run(exact=tmp_path / "elsewhere").point_latest()
    assert not Path("outputs").exists()


def test_without_links_latest_is_a_text_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("no links here")

    run = new_run()
    monkeypatch.setattr(Path, "symlink_to", refuse)
    run.point_latest()
    assert Path("outputs/latest").is_file()
    assert named_run("latest") == run.path.resolve()


def test_a_run_is_found_by_path_or_by_name() -> None:
    run = new_run()
    assert named_run(str(run.path)) == run.path
    assert named_run(run.path.name) == run.path
    assert named_run("nothing") == Path("nothing")


def test_what_is_no_run_is_refused_with_the_newest_one_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        RunDir.find(Path("none"))
    refused(caught.value, "not-found", "none", "dlexp train")
    run = new_run()
    with pytest.raises(ConfigError) as caught:
        RunDir.find(tmp_path)
    refused(caught.value, "not-found", str(tmp_path), str(run.path))


def test_the_newest_unfinished_run_is_neither_finished_nor_alive() -> None:
    with pytest.raises(ConfigError) as caught:
        newest_unfinished()
    refused(caught.value, "not-found", "--resume", "dlexp train")
    old = end(new_run("a"), "interrupted", 1)
    failed = end(new_run("b"), "failed", 2)
    finished = end(new_run("c"), "finished", 3)
    alive = end(new_run("d"), "running", 4)
    seeds = end(new_run(exact=Path("outputs/train/group/seed1")), "running", 5)
    assert newest_runs() == [run.path for run in (seeds, alive, finished, failed, old)]
    with alive.lock(), seeds.lock():
        assert newest_unfinished().path == failed.path
    assert newest_unfinished().path == seeds.path
