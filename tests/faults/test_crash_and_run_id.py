"""`--run-id` lines that are killed, stopped or started twice, and a kill while a crash capsule is written."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import prefork
import pytest
from test_kill_and_signals import assert_same, finish, last, rows, start, wait_for

LINE = ("model=mlp", "trainer.epochs=6", "trainer.save_every_steps=7", "--run-id", "job")
RUN = Path("outputs") / "train" / "job"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    finish(folder, *LINE)
    return folder / RUN


@pytest.mark.slow
def test_the_same_line_after_a_kill_and_after_a_stop_ends_with_the_same_bits(
    uninterrupted: Path, tmp_path: Path
) -> None:
    for lines, number, code in ((1, signal.SIGKILL, -9), (4, signal.SIGUSR1, 75), (8, signal.SIGKILL, -9)):
        process = start(tmp_path, *LINE)
        wait_for(tmp_path / RUN / "metrics.jsonl", lines, process)
        process.send_signal(number)
        process.communicate(timeout=240)
        assert process.returncode == code
    assert finish(tmp_path, *LINE) == ""
    assert assert_same(last(uninterrupted), last(tmp_path / RUN)) > 20
    assert rows(uninterrupted) == rows(tmp_path / RUN)
    assert "6 epochs" in finish(tmp_path, *LINE)


@pytest.mark.slow
def test_of_several_at_once_one_runs_and_the_others_are_refused(tmp_path: Path) -> None:
    line = ("trainer.epochs=5000", "--run-id", "job")
    processes = [start(tmp_path, *line) for _ in range(3)]
    errors: dict[int, tuple[int | None, str]] = {}
    while len(errors) < 2:  # the one that runs would go on for minutes
        for process in processes:
            if process.pid not in errors and process.poll() is not None:
                errors[process.pid] = (process.returncode, process.communicate()[1])
        time.sleep(0.05)  # polling other processes: there is nothing to be notified by
    (winner,) = (process for process in processes if process.pid not in errors)
    for code, text in errors.values():
        assert code == 2
        assert f"process {winner.pid}" in text
    wait_for(tmp_path / RUN / "metrics.jsonl", 1, winner)
    winner.send_signal(signal.SIGTERM)
    winner.communicate(timeout=240)
    assert winner.returncode == 75
    assert json.loads((tmp_path / RUN / "status.json").read_text())["state"] == "interrupted"


DYING = """
import os, signal
import torch
from torch import nn

class Net(nn.Module):
    '''Not finite at once; then the process is killed at its second fsync, so in the middle of the capsule.'''

    def __init__(self, in_features, num_classes):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(in_features, num_classes))

    def forward(self, x):
        if not self.training:
            return self.net(x)
        if os.environ.get("DIE"):
            real, calls = os.fsync, []

            def fsync(descriptor):
                calls.append(descriptor)
                if len(calls) == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                real(descriptor)

            os.fsync = fsync
        return self.net(x) * float("nan")
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_capsule_leaves_no_half_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dying.py").write_text(DYING)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "dying.yaml").write_text("# Dies\n_target_: dying.Net\n")
    line = ("--config-dir", "conf", "--trust", "dying", "model=dying", "--run-id", "job")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("DIE", "1")
    finish(tmp_path, *line, code=-9)
    assert [path.name for path in (tmp_path / RUN).glob(".tmp-*")]
    assert not (tmp_path / RUN / "crash").exists()
    monkeypatch.delenv("DIE")
    assert "dlexp replay outputs/train/job/crash" in finish(tmp_path, *line, code=4)
    assert not list((tmp_path / RUN).rglob(".tmp-*"))
    assert {path.name for path in (tmp_path / RUN / "crash").iterdir()} == {
        "capsule.pt",
        "crash.json",
        "traceback.txt",
    }
    done = prefork.run("replay", "job", "--trust", "dying", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reproduced"] is True
