"""Runs that are killed, stopped, crowded or damaged, as processes: nothing is lost and nothing is half."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import prefork
import pytest
import torch

DLEXP = str(Path(sys.executable).with_name("dlexp"))
WORDS = ("model=simple_cnn", "trainer.epochs=12", "data.augment=crop", "trainer.save_every_steps=7")


def start(folder: Path, *words: str) -> prefork.Process:
    env, line = {**os.environ, "OMP_NUM_THREADS": "1"}, ("train", "-q", *words)
    return prefork.Process(line, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(folder: Path, *words: str, code: int = 0) -> str:
    process = start(folder, *words)
    _, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    return err


def last(run: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    return state


def assert_same(one: Any, other: Any, path: str = "") -> int:
    """Compare two states bit for bit; returns how many tensors were compared."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), path
        return 1
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        return sum(assert_same(one[key], other[key], f"{path}/{key}") for key in one)
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=True)
        return sum(assert_same(a, b, f"{path}/{number}") for number, (a, b) in enumerate(pairs))
    assert one == other, path
    return 0


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "samples_per_s")} for row in csv.DictReader(file)]


def wait_for(path: Path, lines: int, process: prefork.Process) -> None:
    """Until a file has that many lines, or the process is over."""
    while process.poll() is None and not (path.is_file() and path.read_text().count("\n") >= lines):
        time.sleep(0.01)  # polling another process: there is nothing to be notified by


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    finish(folder, *WORDS, "--run-dir", "run")
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130), (signal.SIGUSR1, 75), (signal.SIGHUP, 75)]
)
def test_a_signal_saves_and_the_run_goes_on_where_it_was(
    number: signal.Signals, code: int, uninterrupted: Path, tmp_path: Path
) -> None:
    process = start(tmp_path, *WORDS, "--run-dir", "run")
    wait_for(tmp_path / "run" / "metrics.jsonl", 5, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert number.name in err and "saved" in err
    assert "dlexp train --resume run" in err
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("interrupted", code)
    finish(tmp_path, "--resume", "run")
    assert_same(last(uninterrupted), last(tmp_path / "run"))
    assert rows(uninterrupted) == rows(tmp_path / "run")


def test_divergence_ends_with_four_and_keeps_a_finite_checkpoint(tmp_path: Path) -> None:
    words = ("optim=sgd", "optim.lr=1e20", "model.norm=none", "scheduler.warmup_epochs=5", "--run-dir", "run")
    err = finish(tmp_path, *words, code=4)
    assert "Diverged" in err
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"
    for path in (tmp_path / "run" / "checkpoints").glob("*.pt"):
        weights = torch.load(path, weights_only=True)["networks"].values()
        assert all(bool(torch.isfinite(w).all()) for w in weights)


def test_two_runs_never_share_a_directory(tmp_path: Path) -> None:
    first = start(tmp_path, "trainer.epochs=5000", "--run-dir", "run")
    wait_for(tmp_path / "run" / "metrics.jsonl", 1, first)
    err = finish(tmp_path, "--resume", "run", code=2)
    assert f"process {first.pid}" in err
    assert "run" in finish(tmp_path, "--run-dir", "run", code=2)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=60)
    assert first.returncode == 75


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped"])
def test_a_damaged_checkpoint_is_named_moved_aside_and_survived(
    damage: str, uninterrupted: Path, tmp_path: Path
) -> None:
    process = start(tmp_path, *WORDS, "--run-dir", "run")
    wait_for(tmp_path / "run" / "metrics.jsonl", 8, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    path = tmp_path / "run" / "checkpoints" / "last.pt"
    content = path.read_bytes()
    half = len(content) // 2
    flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
    path.write_bytes({"truncated": content[:half], "empty": b"", "flipped": flipped}[damage])
    err = finish(tmp_path, "--resume", "run")
    assert "last.pt" in err
    assert (path.parent / "last.pt.damaged-1").is_file()
    assert_same(last(uninterrupted), last(tmp_path / "run"))


def test_resume_refuses_data_that_has_changed(tmp_path: Path) -> None:
    lines = ["a,b,y"] + [f"{n},{n * n % 7},{n % 2}" for n in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    words = ("data=csv", "data.path=t.csv", "data.target=y", "trainer.epochs=2", "--run-dir", "run")
    finish(tmp_path, *words)
    (tmp_path / "t.csv").write_text("\n".join([*lines[:-1], "99,9,0"]) + "\n")
    err = finish(tmp_path, "--resume", "run", "trainer.epochs=4", code=3)
    assert "data_fingerprint" in err
