"""SIGTERM and Ctrl-C in every phase of a run, as processes: start-up, update, validation, save and lr-find (R7).

A network of the test's own holds the process in a phase until a file appears, so that no test depends on time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prefork
import pytest
import torch

DLEXP = str(Path(sys.executable).with_name("dlexp"))
PACKAGE = """
import os, time
from pathlib import Path
from torch import nn

def hold(phase):
    if os.environ.get("HOLD") == phase and not Path("held").exists():
        Path("held").touch()
        while not Path("go").exists():
            time.sleep(0.01)

class Net(nn.Module):
    def __init__(self, in_features, num_outputs):
        super().__init__()
        self.first = nn.Linear(in_features, 8)
        self.last = nn.Sequential(nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, num_outputs))
        self.updates = 0
        hold("start-up")
    def forward(self, x):
        self.updates += self.training
        if self.updates == 5:
            hold("update" if self.training else "nowhere")
        if self.updates == 12:
            hold("nowhere" if self.training else "validation")
        return self.last(self.first(x))
    def state_dict(self, *args, **kwargs):
        if self.updates == 8:
            hold("save")
        return super().state_dict(*args, **kwargs)
"""
# iris in six updates an epoch; every second update is saved, so that update 8 is a save within an epoch
WORDS = (
    "--config-dir", "conf", "--trust", "held_package", "model=own", "data=iris", "data.batch_size=16",
    "data.eval_batch_size=4", "trainer.save_every_steps=2", "trainer.epochs=3", "trainer.device=cpu",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepared(tmp_path)


def prepared(folder: Path) -> Path:
    (folder / "held_package.py").write_text(PACKAGE)
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "own.yaml").write_text("# Held\n_target_: held_package.Net\n")
    return folder


def begin(folder: Path, *words: str, hold: str = "", **env: str) -> prefork.Process:
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "HOLD": hold, "DLEXP_TRUST": "held_package"}
    own = {**settings, **env}
    return prefork.Process(words, cwd=folder, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def held(folder: Path, process: prefork.Process) -> None:
    """Until the process is in its phase."""
    while not (folder / "held").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)  # polling another process: there is nothing to be notified by


def ended(process: prefork.Process, code: int) -> str:
    _, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    return err


def last(run: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    return state


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, torch.Tensor]]:
    folder = prepared(tmp_path_factory.mktemp("undisturbed"))
    ended(begin(folder, "train", "-q", *WORDS, "--run-dir", "run"), 0)
    yield last(folder / "run")["networks"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "step", "batch"),
    [("update", 5, 5), ("save", 8, 2), ("validation", 12, 6)],
)
def test_sigterm_in_a_phase_is_saved_and_the_run_goes_on_to_the_same_bits(
    phase: str, step: int, batch: int, folder: Path, undisturbed: dict[str, torch.Tensor]
) -> None:
    process = begin(folder, "train", "-q", *WORDS, "--run-dir", "run", hold=phase)
    held(folder, process)
    process.send_signal(signal.SIGTERM)
    (folder / "go").touch()
    err = ended(process, 75)
    assert "SIGTERM" in err and "saved" in err
    position = last(folder / "run")["position"]
    if phase == "save":  # the file being written is finished; the request is seen after the next update
        step, batch = step + 1, batch + 1
    assert (position["step"], position["batch"]) == (step, batch)
    assert json.loads((folder / "run" / "status.json").read_text())["exit_code"] == 75
    ended(begin(folder, "train", "-q", "--resume", "run"), 0)
    resumed = last(folder / "run")["networks"]
    assert all(torch.equal(resumed[name], weights) for name, weights in undisturbed.items())
    assert not list((folder / "run").rglob(".tmp-*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_a_signal_before_there_is_anything_to_save_ends_the_process_and_leaves_nothing(
    number: signal.Signals, code: int, folder: Path
) -> None:
    process = begin(folder, "train", "-q", *WORDS, "--run-dir", "run", hold="start-up")
    held(folder, process)
    process.send_signal(number)
    err = ended(process, code)
    assert "Traceback" not in err
    assert not (folder / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_process_that_does_not_get_to_its_save(number: signal.Signals, folder: Path) -> None:
    process = begin(folder, "train", "-q", *WORDS, "--run-dir", "run", hold="update")
    held(folder, process)
    while not (folder / "run" / "checkpoints" / "last.pt").is_file() or last(folder / "run")["position"]["step"] < 4:
        time.sleep(0.05)  # it is written beside the update that is held
    # Two that come at once are one to the system, so it is sent until it is heard twice; `go` never appears.
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.05)
    assert ended(process, 128 + number) == ""
    assert last(folder / "run")["position"]["step"] == 4  # the last save stands


def test_sigterm_during_lr_find_drops_the_sweep(folder: Path) -> None:
    words = [word for word in WORDS if not word.startswith("trainer.save")]
    process = begin(folder, "lr-find", "-q", *words, "--run-dir", "sweep", hold="update")
    held(folder, process)
    process.send_signal(signal.SIGTERM)
    (folder / "go").touch()
    assert "SIGTERM" in ended(process, 75)
    assert not (folder / "sweep" / "lr_find.json").exists()


@pytest.mark.slow
def test_a_run_ended_while_it_writes_what_was_asked_can_be_begun_again(
    folder: Path, undisturbed: dict[str, torch.Tensor]
) -> None:
    """The directory is claimed and half described: `git`, which is asked for the commit, holds the process there."""
    tools = folder / "tools"
    tools.mkdir()
    (tools / "git").write_text("#!/bin/sh\ntouch held\nwhile [ ! -e go ]; do sleep 0.05; done\nexit 1\n")
    (tools / "git").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    process = begin(folder, "train", "-q", *WORDS, "--run-dir", "run", PATH=path)
    held(folder, process)
    process.send_signal(signal.SIGTERM)
    ended(process, -signal.SIGTERM)
    (folder / "go").touch()
    assert (folder / "run" / "overrides.yaml").is_file()
    assert not (folder / "run" / "config.yaml").exists()  # it comes last, and makes the directory a run
    ended(begin(folder, "train", "-q", *WORDS, "--run-dir", "run"), 0)
    begun_again = last(folder / "run")["networks"]
    assert all(torch.equal(begun_again[name], weights) for name, weights in undisturbed.items())
