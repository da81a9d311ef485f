"""Disks that are full or refuse, clocks that go back: what was saved stays valid, and the failure is told (R6, R9)."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from refusals import refused

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, read_checkpoint
from dlexp.artifacts.files import writing
from dlexp.artifacts.runs.metrics_log import MetricsLog
from dlexp.artifacts.runs.run_dir import RunDir, newest_runs
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import load_saved
from dlexp.errors import DlexpError
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, resume, train

RUN = ("data=iris", "model.hidden=[4]", "trainer.epochs=2")


def state(number: int) -> dict[str, Any]:
    return {"networks": {"w": torch.full((5000,), float(number))}, "position": {"epoch": number}}


def saved(folder: Path) -> CheckpointStore:
    """A store with the states 1 and 2, and 2 as the best."""
    store = CheckpointStore(folder, print)
    store.save_last(state(1))
    store.save_last(state(2))
    store.save_best(state(2))
    return store


def assert_two_is_there(folder: Path) -> None:
    fresh = CheckpointStore(folder, print)
    last, best = fresh.load_last(), fresh.load_best()
    assert last is not None
    assert best is not None
    assert (last["position"]["epoch"], best["position"]["epoch"]) == (2, 2)
    assert not [path for path in folder.iterdir() if writing.is_temporary(path) or "damaged" in path.name]


def test_room_is_looked_for_before_a_save_and_the_bytes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = saved(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    for save in (store.save_last, store.save_best):
        with pytest.raises(DlexpError) as caught:
            save(state(3))
        refused(caught.value, "system-error", ".pt")
        assert re.search(r"\b2\d{4} bytes.*\b1000 ", str(caught.value))
    assert {name: (tmp_path / name).read_bytes() for name in ("last.pt", "best.pt", "hashes.json")} == {
        name: before[name] for name in ("last.pt", "best.pt", "hashes.json")
    }
    assert_two_is_there(tmp_path)


@pytest.mark.parametrize("call", range(1, 9))
def test_whatever_write_fails_the_last_and_the_best_stay(
    call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up at the first, second, ... flush of the saves that follow."""
    store, real, count = saved(tmp_path), os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count >= call:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("dlexp.artifacts.files.writing.os.fsync", full)
    with pytest.raises(DlexpError) as caught:
        for number in (3, 4):
            store.save_best(state(number))
            store.save_last(state(number))
    refused(caught.value, "system-error", "No space left on device")
    assert "bytes" in str(caught.value)
    monkeypatch.undo()
    fresh = CheckpointStore(tmp_path, print)
    last, best = fresh.load_last(), fresh.load_best()
    assert last is not None
    assert best is not None
    assert last["position"]["epoch"] >= 2
    assert best["position"]["epoch"] >= 2
    assert not list(tmp_path.glob("*.damaged-*"))


def test_dev_full_is_told_with_the_bytes(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "train.log").symlink_to("/dev/full")
    with pytest.raises(DlexpError) as caught:
        MetricsLog(tmp_path).say("hello")
    refused(caught.value, "system-error", "train.log")
    assert re.search(r"\d+ more bytes.*No space left on device", str(caught.value))


_LIMITED = """
import resource, signal, sys
from dlexp.cli.app import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
main(sys.argv[2:])
"""


def test_file_size_limit_ends_the_run_in_words_and_lifting_it_lets_the_run_go_on(tmp_path: Path) -> None:
    """A checkpoint that outgrows what a file may have: the limit bites in the middle of a save."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    words = ("train", "-q", "data=iris", "model.hidden=[256,256]", "trainer.epochs=2", "--run-dir", "run")
    env = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}  # those that it goes on with
    line = [sys.executable, "-c", _LIMITED, "200000", *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=240, check=False, env=env)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(r"\.pt.* bytes.*File too large", done.stderr)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("failed", 1)
    config = load_saved(tmp_path / "run" / "config.yaml")
    assert resume(RunDir(tmp_path / "run"), config, (), Silent())["epochs"] == 2


_AS_NOBODY = """
import os, sys
os.setgid(65534); os.setuid(65534)
from dlexp.cli.app import main
main(sys.argv[1:])
"""


def test_directory_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    if os.getuid() == 0:
        pytest.skip(
            "root may write everywhere, and another user may not read this program"
        ) if not _nobody_may_read() else None
        line = [sys.executable, "-c", _AS_NOBODY]
    else:
        line = [sys.executable, "-m", "dlexp"]
    words = ("train", "-q", *RUN, "--run-dir", str(locked / "run"))
    done = subprocess.run([*line, *words], capture_output=True, text=True, timeout=240, check=False, cwd="/")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert f"{locked / 'run'}: Permission denied" in done.stderr


def _nobody_may_read() -> bool:
    test = "import os; os.setgid(65534); os.setuid(65534); import dlexp, torch"
    return subprocess.run([sys.executable, "-c", test], capture_output=True, check=False, cwd="/").returncode == 0


def test_directory_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a read-only file system answers, whoever asks."""

    def refuse(self: Path, *given: Any, **options: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    for exact in (None, tmp_path / "run"):
        with pytest.raises(DlexpError) as caught:
            RunDir.create("train", "x", exact)
        refused(caught.value, "system-error", "Read-only file system")
        assert str(exact or "outputs") in str(caught.value)


# --- clocks and other programs ---


def started(folder: Path, clock: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.setattr("dlexp.artifacts.runs.run_dir.now_utc", clock)
    monkeypatch.setattr("dlexp.workflows.run_record.write.now_utc", clock)
    train(load(RUN, Catalog()), Request(RUN, ("dlexp",), folder), Silent())
    return RunDir(folder)


def test_clock_that_goes_back_changes_no_bit_and_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the wall clock is an hour before the one before it; the run is then continued in that past."""
    hours = iter(range(10**6, 0, -1))
    backwards = started(tmp_path / "a", lambda: f"{next(hours):010}", monkeypatch)
    monkeypatch.setattr("time.time", lambda: float(next(hours)))
    config = load_saved(backwards / "config.yaml", {"trainer.epochs": 4})
    resume(backwards, config, (), Silent())
    monkeypatch.undo()
    train(load([*RUN, "trainer.epochs=2"], Catalog()), Request(RUN, ("dlexp",), tmp_path / "b"), Silent())
    resume(RunDir(tmp_path / "b"), load_saved(tmp_path / "b" / "config.yaml", {"trainer.epochs": 4}), (), Silent())
    one, other = (read_checkpoint(tmp_path / name / "checkpoints" / "last.pt")["networks"] for name in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (backwards.status().state, backwards.status().epoch) == ("finished", 4)


def test_newest_run_is_the_one_written_last_whatever_its_name_says(monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = iter(["20300101-000000", "20200101-000000"])
    monkeypatch.setattr("dlexp.artifacts.runs.run_dir.stamp", lambda: next(stamps))
    for order in (1, 2):
        run = RunDir.create("train", "x", None)
        (run / "config.yaml").write_text("seed: 1\n")
        os.utime(run / "config.yaml", ns=(order, order))
    assert newest_runs()[0].name.startswith("20200101")


def test_start_that_was_killed_may_be_made_again_in_its_directory(tmp_path: Path) -> None:
    run = RunDir.create("train", "x", tmp_path / "run")
    for name in (".lock", "overrides.yaml", "git.diff", ".tmp-7-meta.json"):
        (run / name).touch()
    assert train(load(RUN, Catalog()), Request(RUN, ("dlexp",), run.path), Silent())["epochs"] == 2
    assert not list(run.path.rglob(".tmp-*"))


@pytest.mark.parametrize("names", [("overrides.yaml",), (".lock", "notes.txt"), (".lock", "checkpoints")])
def test_directory_with_anything_else_in_it_is_refused(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(DlexpError) as caught:
        RunDir.create("train", "x", tmp_path)
    refused(caught.value, "already-exists", "--run-dir")


def test_two_names_of_one_file_leave_no_temporary(tmp_path: Path) -> None:
    """A save that is killed between its two renames leaves `previous` and `last` as one file."""
    store = saved(tmp_path)
    (tmp_path / "previous.pt").unlink()
    (tmp_path / "previous.pt").hardlink_to(tmp_path / "last.pt")
    store.save_last(state(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "hashes.json", "last.pt", "previous.pt"]
