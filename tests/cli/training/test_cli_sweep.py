"""`dlexp train -m`: what it leaves, what it equals, what a failure, a signal and a kill cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import prefork
import pytest

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.artifacts.checkpoints.state_diff import Compared, state_differences
from dlexp.artifacts.runs.run_dir import newest_runs
from dlexp.cli.app import main
from dlexp.cli.views.training.sweep import show

TINY = ("data=iris", "model.hidden=[4]", "optim=sgd", "trainer.epochs=2")


def dlexp(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert (end.value.code or 0) == code, words


def sweep_in(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "sweep.json").read_text())
    return content


def only_sweep() -> Path:
    (folder,) = Path("outputs/sweep").iterdir()
    return folder


def states(folder: Path) -> list[str]:
    return [job["state"] for job in sweep_in(folder)["jobs"]]


def assert_same_bits(one: Path, other: Path) -> None:
    counted = Compared()
    mine, theirs = (read_checkpoint(folder / "checkpoints" / "last.pt") for folder in (one, other))
    assert list(state_differences(mine, theirs, counted)) == []
    assert counted.tensors > 4
    rows = [[line.split(",")[:8] for line in (f / "metrics.csv").read_text().splitlines()] for f in (one, other)]
    assert rows[0] == rows[1]


def test_a_cell_equals_the_same_line_run_alone(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp("train", "-m", *TINY, "model.dropout=0,0.5", "seed=range(2)", "--jobs", "2")
    out, err = capsys.readouterr()
    folder = only_sweep()
    content = sweep_in(folder)
    assert states(folder) == ["finished"] * 4
    assert [job["varied"] for job in content["jobs"]] == [
        {"model.dropout": d, "seed": s} for d in ("0", "0.5") for s in ("0", "1")
    ]
    assert content["metric"] == "val/loss"
    losses = [job["metrics"]["val/loss"] for job in content["jobs"]]
    assert losses[content["best"]] == min(losses)
    assert "4 finished of 4" in out
    assert "mean ± standard deviation" in out
    assert "2 values of model.dropout" in out
    assert json.loads((folder / "comparison.json").read_text())["answer"] in out
    assert (folder / "comparison.md").is_file()
    assert (folder / "comparison.png").is_file()
    assert err.count("  running  ") == err.count("  finished  ") == 4
    assert "[4/4 jobs finished]" in err
    last = content["jobs"][3]
    dlexp("train", "-q", *last["overrides"], "--run-dir", "alone")
    assert_same_bits(folder / last["run"], Path("alone"))
    assert {path.parent.name for path in newest_runs()} >= {folder.name}
    command = (folder / last["run"] / "command.txt").read_text()
    assert "model.dropout=0.5 seed=1" in command
    dlexp("evaluate", str(folder / last["run"]))  # a run like any other


def test_a_failed_cell_is_counted_and_the_same_line_keeps_what_is_finished(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "-q", "-m", *TINY, "optim.lr=0.1,1e30,0.2", "--json")
    dlexp(*words, code=1)
    folder = only_sweep()
    content = json.loads(capsys.readouterr().out)
    assert content["counts"] == {"finished": 2, "failed": 1}
    failed = content["jobs"][1]
    assert failed["state"] == "failed"
    assert failed["exit_code"] == 4
    assert "nan" in failed["reason"]
    before = {path: path.stat().st_mtime_ns for path in folder.glob("00[02]-*/**/*") if path.is_file()}
    dlexp("train", "-m", *words[3:-1], code=1)
    out, err = capsys.readouterr()
    assert "2 of 3 jobs are finished" in err
    assert only_sweep() == folder
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "2 finished, 1 failed of 3" in out
    assert "job 1 optim.lr=1e+30: " in out
    assert f"next: dlexp train --resume {folder}" in out


def test_a_line_whose_sweep_is_finished_begins_another() -> None:
    for _ in range(2):
        dlexp("train", "-q", "-m", *TINY, "trainer.epochs=1")
    assert len(list(Path("outputs/sweep").iterdir())) == 2


def test_many_configurations_get_a_row_each(capsys: pytest.CaptureFixture[str]) -> None:
    content = {
        "sweep": "outputs/sweep/s",
        "metric": "val/loss",
        "best": 3,
        "counts": {"finished": 5, "failed": 1},
        "jobs": [
            {
                "number": number,
                "varied": {"optim.lr": rate, "seed": seed},
                "run": "r",
                "state": "failed" if number == 5 else "finished",
                "seconds": None if number == 5 else 1.0,
                "reason": "it broke" if number == 5 else "",
                "metrics": {} if number == 5 else {"val/loss": float(number), "val/accuracy": 0.5},
            }
            for number, (rate, seed) in enumerate(product(("0.1", "0.2", "0.3"), ("0", "1")))
        ],
    }
    rows = [["0.1", "2", "0.5", "0.7071"], ["0.3", "1", "4", "-"]]
    table = {"columns": ["value of optim.lr", "n", "mean val/loss", "std"], "rows": rows}
    comparison = {"answer": "0.1 is best.", "notes": ["a note"], "table": table}
    show(content | {"comparison": comparison})
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "3* 0.2 1 finished 3 50.00 % 1.0 s" in lines
    assert "5 0.3 1 failed - -" in lines
    assert "0.1 2 0.5 0.7071" in lines
    assert "0.3 1 4 -" in lines
    assert "0.1 is best." in lines
    assert "job 5 optim.lr=0.3 seed=1: it broke" in lines
    assert "5 finished, 1 failed of 6" in lines
    assert "compare dlexp compare outputs/sweep/s" in lines


EXPERIMENT = """# @package _global_
# Dropout or none
defaults:
  - override /data: iris
  - _self_
model: {hidden: [4], dropout: 0.0}
trainer: {epochs: 2}
sweep:
  cases:
    none: {}
    some dropout: {model.dropout: 0.5}
  seed: range(2)
"""


def test_the_name_of_an_experiment_trains_its_sweep_and_each_job_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my/experiment").mkdir(parents=True)
    Path("my/experiment/study.yaml").write_text(EXPERIMENT)
    line = ("train", "-q", "--config-dir", "my", "experiment=study")
    dlexp(*line, "--dry-run")
    last = capsys.readouterr().out.splitlines()[3]
    assert last.endswith("dlexp train --config-dir my 'cases=some dropout' seed=1 experiment=study")
    dlexp(*line)
    folder, out = only_sweep(), capsys.readouterr().out
    assert states(folder) == ["finished"] * 4
    found = json.loads((folder / "comparison.json").read_text())
    assert (found["of"], found["about"], found["metric"]) == ("cases", "seeds", "val/loss")
    assert found["answer"] in out
    run = sweep_in(folder)["jobs"][3]["run"]
    assert (
        "# sweep my/experiment/study.yaml\n- model.dropout=0.5\n- seed=1\n"
        in (folder / run / "overrides.yaml").read_text()
    )
    dlexp(*line, "cases=some dropout", "seed=1", "--run-dir", "alone")
    assert_same_bits(folder / run, Path("alone"))
    capsys.readouterr()
    dlexp(*line, "--seeds", "3", "--dry-run", "--json")
    assert [job["varied"]["seed"] for job in json.loads(capsys.readouterr().out)] == ["42", "43", "44"] * 2
    dlexp("evaluate", str(folder), "-q")
    assert json.loads((folder / "comparison.json").read_text())["metric"] == "test/accuracy"
    dlexp("report", str(folder))
    page = (folder / "report.html").read_text()
    assert ">Answer</h2>" in page
    assert "The cases, the best first" in page


def test_every_cell_is_checked_before_the_first_begins(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp("train", "-m", "data=iris,digits", "model=mlp,lenet5,tabular_mlp", "trainer.epochs=1", code=2)
    err = capsys.readouterr().err
    assert "2 problems" in err
    assert "job data=iris model=lenet5" in err
    assert "job data=digits model=tabular_mlp" in err
    assert not Path("outputs").exists()


def test_data_that_is_not_there_ends_it_before_anything_is_written() -> None:
    Path("a.csv").write_text("x,y\n" + "".join(f"{n},{n % 2}\n" for n in range(40)))
    dlexp("train", "-q", "-m", "data=csv", "data.path=a.csv,b.csv", "data.target=y", "task=classification", code=3)
    assert not Path("outputs").exists()


def test_a_dry_run_lists_the_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp("train", "-m", *TINY, "seed=0,1", "model.activation=relu,tanh", "--dry-run")
    out = capsys.readouterr().out
    assert out.count("dlexp train data=iris") == 4
    assert "seed=1 model.activation=relu" in out
    assert "4 jobs, at most 8 epochs" in out
    assert not Path("outputs").exists()


def test_seeds_are_one_more_axis_and_an_id_names_the_directory() -> None:
    words = ("train", "-q", "-m", *TINY, "seed=7", "--seeds", "2", "--run-id", "grid")
    dlexp(*words)
    folder = Path("outputs/sweep/grid")
    assert [job["varied"]["seed"] for job in sweep_in(folder)["jobs"]] == ["7", "8"]
    before = (folder / "000-mlp-iris" / "summary.json").stat().st_mtime_ns
    dlexp(*words)  # finished: nothing is trained again
    assert (folder / "000-mlp-iris" / "summary.json").stat().st_mtime_ns == before
    dlexp(*words, "optim.lr=0.3", code=2)  # other jobs in the same place


def test_a_past_run_can_be_swept_and_a_cell_of_that_repeated() -> None:
    dlexp("train", "-q", *TINY, "optim.momentum=0.5", "--run-dir", "base")
    dlexp("train", "-q", "-m", "--from", "base", "seed=1,2", "--run-dir", "grid")
    assert [job["varied"] for job in sweep_in(Path("grid"))["jobs"]] == [{"seed": "1"}, {"seed": "2"}]
    dlexp("train", "-q", "--from", "grid/001-mlp-iris", "--run-dir", "again")
    config = (Path("grid/001-mlp-iris/config.yaml")).read_text()
    assert "momentum: 0.5" in config
    assert Path("again/config.yaml").read_text() == config


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("train", "--jobs", "2"), "-m"),
        (("train", "-m", "--resume", "x"), "--multirun"),
        (("train", "-m", "seed=0,1", "--seeds", "2"), "--seeds=2"),
        (("train", "seed=0,1"), "-m"),
        (("tune", "-m"), "search.space"),
        (("evaluate", "--multirun"), "dlexp evaluate"),
        (("lr-find", "-m", "optim=sgd,adamw"), "dlexp train -m"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(
    words: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dlexp(*words, code=2)
    assert text in " ".join(capsys.readouterr().err.split())
    assert not Path("outputs").exists()


def start(folder: Path, *words: str) -> prefork.Process:
    env = {key: value for key, value in os.environ.items() if not key.startswith("DLEXP_")}
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    env |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    pipe = subprocess.PIPE
    return prefork.Process(("train", *words), cwd=folder, env=env, stdout=pipe, stderr=pipe, leads_group=True)


def until_epoch(folder: Path, job: int, epoch: int) -> Path:
    """The sweep's directory, once a job has written the row of an epoch."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        for path in folder.glob(f"outputs/sweep/*/{job:03d}-*/metrics.csv"):
            if path.read_text().count("\n") > epoch:
                return path.parent.parent
        time.sleep(0.02)
    raise AssertionError("the job did not begin")


@pytest.mark.parametrize("how", ["Ctrl-C", "kill -9"])
def test_a_sweep_that_was_stopped_ends_with_the_bits_of_one_that_was_not(
    tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first job is finished when the signal comes, the second in the middle, the third not begun."""
    process = start(tmp_path, "-q", "-m", "data=iris", "model.hidden=[4]", "optim=sgd", "trainer.epochs=1,120,2")
    folder = until_epoch(tmp_path, 1, 3)
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)  # a terminal tells the whole group
    else:
        process.kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == {"Ctrl-C": 130, "kill -9": -9}[how], err
    kept = (folder / "000-mlp-iris" / "summary.json").stat().st_mtime_ns
    assert not list(folder.glob("002-*"))
    if how != "kill -9":
        assert states(folder) == ["finished", "interrupted", "waiting"]
        assert "saved at" in (folder / "logs" / "001.log").read_text()
        assert "1 of 3 jobs are finished" in err
        assert f"dlexp train --resume {folder.relative_to(tmp_path)}" in err
    dlexp("train", "-q", "--resume", str(folder), "seed=3", code=2)  # its jobs are what they are
    # The newest unfinished run is a job: its sweep goes on. After a kill it may be saving yet, and is waited for.
    dlexp("train", "-q", "--resume", *([str(folder)] if how == "kill -9" else []))
    assert "1 of 3 jobs are finished" in capsys.readouterr().err
    assert states(folder) == ["finished"] * 3
    assert (folder / "000-mlp-iris" / "summary.json").stat().st_mtime_ns == kept
    if how == "kill -9":
        dlexp("train", "-q", *sweep_in(folder)["jobs"][1]["overrides"], "--run-dir", "alone")
        assert_same_bits(folder / "001-mlp-iris", tmp_path / "alone")
