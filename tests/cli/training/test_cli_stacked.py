"""`dlexp train --seeds N --stacked` and `-m --stacked` leave the run directories of one-by-one training."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import prefork
import pytest
import torch
from refusals import line_refused

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.cli.app import main
from dlexp.errors import Interrupted

LINE = ("train", "-q", "data=iris", "model.hidden=[8]", "model.norm=none", "optim=sgd", "trainer.epochs=5")
TOLERANCE = 1e-4
PACE = ("seconds", "samples_per_s")


def dlexp(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert (end.value.code or 0) == code, words


def start(*words: str) -> prefork.Process:
    """The line in a process of its own."""
    null = subprocess.DEVNULL
    return prefork.Process(words, cwd=Path.cwd(), env=os.environ, stdout=null, stderr=null)


def content(path: Path) -> Any:
    return json.loads(path.read_text())


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def assert_alike(one: Path, other: Path) -> None:
    """Weights, best epoch, rows and files of two runs are the same but for the last digits."""
    mine, theirs = (read_checkpoint(folder / "checkpoints" / "last.pt") for folder in (one, other))
    assert mine["networks"].keys() == theirs["networks"].keys()
    for name, weight in mine["networks"].items():
        torch.testing.assert_close(weight, theirs["networks"][name], rtol=TOLERANCE, atol=1e-6)
    assert mine["position"] == theirs["position"]
    assert len(rows(one)) == len(rows(other)) > 0
    for row, again in zip(rows(one), rows(other), strict=True):
        assert row.keys() == again.keys()
        assert all(float(again[n]) == pytest.approx(float(row[n]), rel=1e-3, abs=1e-5) for n in row if n not in PACE)
    names = [sorted(str(p.relative_to(f)) for p in f.rglob("*") if p.is_file()) for f in (one, other)]
    assert names[0] == names[1]


def test_stacked_seeds_are_the_seeds_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp(*LINE, "--seeds", "3", "-o", "alone")
    dlexp(*LINE, "--seeds", "3", "-o", "stacked", "--stacked")
    assert "stacked: seed 42, seed 43, seed 44" in capsys.readouterr().err
    for seed in (42, 43, 44):
        assert_alike(Path(f"alone/seed-{seed}"), Path(f"stacked/seed-{seed}"))
        assert "in a stack of 3 runs" in Path(f"stacked/seed-{seed}/train.log").read_text()
    assert content(Path("stacked/stacks.json")) == {"stacks": [["seed 42", "seed 43", "seed 44"]], "alone": {}}
    before, after = (content(Path(name) / "seeds.json")["over_seeds"]["val/loss"] for name in ("alone", "stacked"))
    assert after["mean"] == pytest.approx(before["mean"], rel=TOLERANCE)
    dlexp("evaluate", "stacked/seed-43")


def test_a_member_resumes_alone_and_a_group_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp(*LINE, "--seeds", "2", "-o", "whole", "trainer.epochs=7", "scheduler=constant")
    dlexp(*LINE, "--seeds", "2", "-o", "parts", "--stacked", "scheduler=constant")
    dlexp("train", "-q", "--resume", "parts/seed-42", "trainer.epochs=7")
    assert_alike(Path("whole/seed-42"), Path("parts/seed-42"))
    capsys.readouterr()
    line = ("--seeds", "2", "-o", "whole", "--stacked", "trainer.epochs=7", "scheduler=constant")
    dlexp(*LINE, *line)  # finished: nothing is trained, and nothing is stacked
    assert "stacked:" not in capsys.readouterr().err


def test_a_killed_stack_resumes_every_member() -> None:
    line = (*LINE, "trainer.epochs=200", "--seeds", "3", "--stacked")
    folder = Path("killed")
    process = start(*line, "-o", str(folder))
    until = time.monotonic() + 120
    while not all((folder / f"seed-{seed}/checkpoints/last.pt").is_file() for seed in (42, 43, 44)):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    states = [content(folder / f"seed-{seed}/status.json")["state"] for seed in (42, 43, 44)]
    assert states == ["running"] * 3
    dlexp(*line, "-o", str(folder))
    dlexp(*line, "-o", "reference")
    for seed in (42, 43, 44):
        assert_alike(Path(f"reference/seed-{seed}"), folder / f"seed-{seed}")


def test_a_signal_saves_every_member(capsys: pytest.CaptureFixture[str]) -> None:
    line = (*LINE, "trainer.epochs=3000", "--seeds", "2", "--stacked")
    process = start(*line, "-o", "stopped")
    until = time.monotonic() + 120
    while not all((Path("stopped") / f"seed-{seed}/metrics.csv").is_file() for seed in (42, 43)):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait() == 75
    positions = [read_checkpoint(Path(f"stopped/seed-{s}/checkpoints/last.pt"))["position"] for s in (42, 43)]
    assert positions[0] == positions[1]
    assert [content(Path(f"stopped/seed-{s}/status.json"))["state"] for s in (42, 43)] == ["interrupted"] * 2


def test_an_interrupted_stack_says_how_to_continue(monkeypatch: pytest.MonkeyPatch) -> None:
    from dlexp.config.compose import load
    from dlexp.config.files.catalog import Catalog
    from dlexp.workflows.reporter import Silent
    from dlexp.workflows.train import seeds
    from dlexp.workflows.train.train import Request

    def stopped(*_: object) -> None:
        raise Interrupted("SIGINT received", 130)

    monkeypatch.setattr(seeds, "train_stacked", stopped)
    config = load(list(LINE[2:]), Catalog())
    for folder, how in ((None, "--run-dir outputs/train/"), (Path("group"), "the same line again")):
        with pytest.raises(Interrupted, match=how) as end:
            seeds.train_seeds(config, Request((), ("dlexp",), folder, ()), 2, Silent(), is_stacked=True)
        assert end.value.exit_code == 130


def test_early_stopping_is_each_members_own() -> None:
    early = ("regularization.early_stopping.patience=2", "trainer.epochs=40", "optim.lr=0.2")
    dlexp(*LINE, *early, "--seeds", "3", "-o", "alone")
    dlexp(*LINE, *early, "--seeds", "3", "-o", "stacked", "--stacked")
    for seed in (42, 43, 44):
        one, other = (content(Path(f"{name}/seed-{seed}/summary.json")) for name in ("alone", "stacked"))
        assert (one["epochs"], one["best_epoch"], one["reason"]) == (
            other["epochs"],
            other["best_epoch"],
            other["reason"],
        )
    assert len({content(Path(f"stacked/seed-{seed}/summary.json"))["epochs"] for seed in (42, 43, 44)}) > 1


def test_cells_that_differ_in_numbers_are_stacked() -> None:
    cells = ("-m", "optim.lr=0.05,0.1", "model.hidden=[8],[4]", "regularization.l2=0,0.001")
    dlexp(*LINE, *cells, "-o", "alone")
    dlexp(*LINE, *cells, "-o", "stacked", "--stacked")
    jobs = content(Path("stacked/sweep.json"))["jobs"]
    assert [job["state"] for job in jobs] == ["finished"] * 8
    for job in jobs:
        assert_alike(Path("alone") / job["run"], Path("stacked") / job["run"])
        assert "in a stack of 4 runs" in (Path("stacked") / job["run"] / "train.log").read_text()  # one for each shape


def test_a_cell_that_diverges_fails_alone() -> None:
    dlexp(*LINE, "-m", "optim.lr=0.05,1e30,0.1", "task=classification", "-o", "sweep", "--stacked", code=1)
    jobs = content(Path("sweep/sweep.json"))["jobs"]
    assert [job["state"] for job in jobs] == ["finished", "failed", "finished"]
    assert (Path("sweep") / jobs[1]["run"] / "crash").is_dir()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("optim=lbfgs",), "computes the gradient several times"),
        (("optim=sam",), "computes the gradient several times"),
        (("trainer.freeze_layers=1", "trainer.unfreeze_epoch=2"), "unfrozen"),
    ],
)
def test_what_is_not_stacked_is_told_and_trained(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], reason: str
) -> None:
    line = [word for word in LINE if not word.startswith("optim=") or words[0].startswith("trainer")]
    dlexp(*line, *words, "--seeds", "2", "-o", "group", "--stacked")
    err = capsys.readouterr().err
    assert "one by one: seed 42, seed 43" in err and reason in err
    told = content(Path("group/stacks.json"))["alone"]
    assert set(told) == {"seed 42", "seed 43"} and all(reason in text for text in told.values())
    assert len(rows(Path("group/seed-43"))) == 5


def test_one_run_is_no_stack(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, *LINE, "--stacked", code="no-effect", where="--stacked", remedy="--seeds 10")
