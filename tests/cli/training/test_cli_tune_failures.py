"""`dlexp tune` when things go wrong: trials that die in every way, budgets, signals, two at once (T2, T5, T8, T15)."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from test_cli_tune import FLAT, LINE, content, own_net, rows, start, states, study_of, tune, wait_for

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.cli.commands.training.tune import without_secrets

NET = """
import os
import sys
import time
from pathlib import Path

import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, num_classes, width=8):
        super().__init__()
        self.width = width
        self.net = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, x):
        if self.training:
            if self.width == 1:
                sys.exit(0)
            if self.width == 2:
                os._exit(0)
            if self.width == 3:
                raise MemoryError
            if self.width == 4:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            if self.width == 5:
                return self.net(x) * float("nan")
            if self.width == 7:
                raise RuntimeError("broken in training")
            if self.width == 9:
                print("inside", file=open("inside", "w"), flush=True)
                while Path("hang").exists():
                    time.sleep(0.01)
        elif self.width == 6:
            return self.net(x) * float("nan")
        return self.net(x)
"""


def failing(folder: Path, widths: str) -> tuple[str, ...]:
    words = own_net(folder, widths)
    (folder / "nets.py").write_text(NET)
    return words


def test_whatever_ends_a_trial_ends_nothing_else(tmp_path: Path) -> None:
    tune(tmp_path, *failing(tmp_path, "[1,2,3,4,5,6,7,8]"), "-n", "9")
    found = {row["model.width"]: row["reason"] for row in rows(tmp_path) if row["state"] == "failed"}
    assert found.keys() == set("1234567")
    assert found["1"] == "SystemExit: 0"
    assert "process" in found["2"]
    assert found["3"] == found["4"] == "oom"
    assert found["5"].startswith("diverged: ")
    assert "finite" in found["6"]
    assert found["7"] == "RuntimeError: broken in training"
    assert content(tmp_path)["trials"] == {"complete": 1, "failed": 7}  # the grid has no more points
    folders = {row["model.width"]: row["folder"] for row in rows(tmp_path)}
    for width, error in (("3", "MemoryError"), ("4", "torch.OutOfMemoryError"), ("7", "RuntimeError")):
        assert error in (study_of(tmp_path) / folders[width] / "output.log").read_text()
    page = (study_of(tmp_path) / "report.html").read_text()
    assert all(reason in page for reason in ("oom", "broken in training", found["2"]))


def test_failures_in_a_row_end_the_study_with_the_last_traceback(tmp_path: Path) -> None:
    words = (*failing(tmp_path, "[7]"), "model.width=7", "search.sampler=random", "search.max_failures=2", "-n", "9")
    _, err = tune(tmp_path, *words, code=5)
    log = Path("outputs/tune/s/trials/0001/output.log")
    last = content(tmp_path)["reason"]
    assert last in " ".join(err.split())
    assert last.startswith("2 trials failed in a row (search.max_failures)")
    assert last.endswith(f"trial 1: RuntimeError: broken in training ({log})")
    traceback = (tmp_path / log).read_text()
    assert traceback.startswith("Traceback (most recent call last)")
    assert "nets.py" in traceback


@pytest.mark.slow
def test_a_second_signal_ends_the_study_at_once_and_loses_nothing(tmp_path: Path) -> None:
    words = (*failing(tmp_path, "[9]"), "model.width=9", "-n", "1")
    (tmp_path / "hang").touch()
    process = start(tmp_path, *words)
    wait_for(tmp_path / "inside", process)
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        process.send_signal(signal.SIGTERM)  # the trial hangs: one signal alone waits for it
        time.sleep(0.1)
    try:
        assert process.poll() == 143, process.communicate()
    finally:
        (tmp_path / "hang").unlink()
        process.communicate(timeout=60)
    tune(tmp_path, *words)
    assert states(tmp_path) == ["requeued", "complete"]


def test_the_hours_of_a_study_interrupt_the_running_trial_which_is_saved_for_later(tmp_path: Path) -> None:
    words = ("data=iris", "trainer.epochs=1000000", "--name", "s", *FLAT, "-n", "2")
    _, err = tune(tmp_path, *words, "search.hours=0.0005", code=5)
    assert "search.hours=0.0005" in " ".join(err.split())
    assert states(tmp_path) == ["requeued"]
    assert (study_of(tmp_path) / "trials" / "0000" / "checkpoints" / "last.pt").is_file()


def test_a_second_process_in_the_directory_of_a_study_is_refused(tmp_path: Path) -> None:
    folder = study_of(tmp_path)
    folder.mkdir(parents=True)
    with RunDir(folder).lock():
        _, err = tune(tmp_path, *LINE, "-n", "2", code=2)
        assert "outputs/tune/s" in err and f"process {os.getpid()}" in " ".join(err.split())
        assert [path.name for path in folder.iterdir()] == [".lock"]


def test_a_dashboard_of_nothing_is_refused_and_makes_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, "--dashboard", "--name", "nosuch", "--json")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 2
    assert "1 problem" in err
    (problem,) = json.loads(out)["error"]["problems"]
    assert problem["where"] in ("--dashboard", "--name")  # with or without the package
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_written_without_its_passwords() -> None:
    line = "dlexp tune -n 3 'optim.lr=a b?c' --storage {}"
    for given, written in (
        ("postgresql://me:s3cret@db/x", "'postgresql://me:***@db/x'"),
        ("'postgresql://db/x?user=me&password=s3cret'", "'postgresql://db/x?***'"),
        ("sqlite:///a.db", "sqlite:///a.db"),
    ):
        assert without_secrets(line.format(given)) == line.format(written)
    assert (
        without_secrets("dlexp tune --storage=mysql://me:s3cret@db/x") == "dlexp tune '--storage=mysql://me:***@db/x'"
    )
