"""`--config FILE` on the command line: the same run as with words, recorded in full, repeated without the file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import prefork
import pytest
import yaml

SMALL = "model: mlp\nmodel.hidden: [8]\ndata: iris\ntrainer:\n  epochs: 1\n"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


def run(folder: Path, *words: str, code: int = 0) -> str:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "400"}
    done = prefork.run(*words, cwd=folder, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    return str(done.stdout if code == 0 else done.stderr)


def run_of(folder: Path, *words: str) -> Path:
    return folder / str(json.loads(run(folder, "train", *words, "--json"))["run"])


def test_run_of_a_file_is_that_of_its_words_and_needs_it_no_more(work: Path) -> None:
    given = run_of(work, "--config", "small.yaml", "seed=3", "-o", "a")
    typed = run_of(work, "model=mlp", "model.hidden=[8]", "data=iris", "trainer.epochs=1", "seed=3", "-o", "b")
    assert (given / "config.yaml").read_text() == (typed / "config.yaml").read_text()
    assert (given / "metrics.csv").exists()
    recorded = (given / "overrides.yaml").read_text()
    assert yaml.safe_load(recorded) == yaml.safe_load((typed / "overrides.yaml").read_text())
    assert "# --config small.yaml\n" in recorded
    assert "--config small.yaml" in (given / "command.txt").read_text()
    complete = (given / "config.yaml").read_text()
    (work / "small.yaml").unlink()
    again = run_of(work, "--from", "a", "-o", "c")
    assert (again / "config.yaml").read_text() == complete
    assert yaml.safe_load((again / "overrides.yaml").read_text()) == yaml.safe_load(recorded)
    shown = run(work, "config", "--config", "a/config.yaml")
    assert shown == complete


@pytest.mark.parametrize(
    "command",
    [
        *("train", "tune", "config", "summary", "profile", "verify", "lr-find", "data check", "data preview"),
        *("data fingerprint", "train -m", "config --machine", "config --plot-schedule", "config --explain optim.lr"),
    ],
)
def test_every_command_that_composes_takes_the_file(work: Path, command: str) -> None:
    (work / "bad.yaml").write_text("seed: 3\noptim: {lr: -1}\n")
    said = run(work, *command.split(), "--config", "small.yaml", "--config", "bad.yaml", code=2)
    assert "optim.lr=-1 (bad.yaml:2" in said
    assert sorted(path.name for path in work.iterdir()) == ["bad.yaml", "small.yaml"]


def test_origin_of_a_value_is_shown(work: Path) -> None:
    said = run(work, "config", "--config", "small.yaml", "data.batch_size=7", "--sources", "--json")
    origins = {row["key"]: row["origin"] for row in json.loads(said)}
    assert origins["model.hidden"] == "small.yaml:2"
    assert origins["trainer.epochs"] == "small.yaml:5"
    assert origins["data.batch_size"] == "command line"


def test_sweep_and_study_of_a_file(work: Path) -> None:
    (work / "grid.yaml").write_text("sweep:\n  optim: [sgd, adamw]\n  seed: range(2)\n")
    jobs = json.loads(
        run(work, "train", "-m", "--config", "small.yaml", "--config", "grid.yaml", "--dry-run", "--json")
    )
    assert [job["varied"] for job in jobs] == [{"optim": o, "seed": s} for o in ("sgd", "adamw") for s in ("0", "1")]
    assert "dlexp train -m --config grid.yaml" in run(work, "train", "--config", "grid.yaml", code=2)
    (work / "study.yaml").write_text("search:\n  sampler: random\n  space:\n    optim.lr: {log: [1e-3, 1e-2]}\n")
    files = ("--config", "small.yaml", "--config", "study.yaml", "optim=sgd")
    space = json.loads(run(work, "tune", *files, "--dry-run", "--json"))["space"]
    assert "optim.lr" in json.dumps(space)


def test_keys_are_shown_without_required_values_and_completed_on_the_line(work: Path) -> None:
    (work / "keys.yaml").write_text(run(work, "config", "data=csv"))
    assert yaml.safe_load((work / "keys.yaml").read_text())["data"]["path"] == "???"
    (work / "t.csv").write_text("a,b,y\n" + "".join(f"{n},{n % 7},{'pq'[n % 2]}\n" for n in range(60)))
    shown = run(work, "config", "--config", "keys.yaml", "data.path=t.csv", "data.target=y")
    composed = yaml.safe_load(shown)
    assert (composed["data"]["target"], composed["choices"]["task"]) == ("y", "classification")
    assert "data.target" in run(work, "train", "--config", "keys.yaml", "data.path=t.csv", code=2)


def test_file_and_run_are_told_apart(work: Path) -> None:
    assert "dlexp train --config small.yaml" in run(work, "train", "--from", "small.yaml", code=2)
    assert "--config small.yaml" in run(work, "train", "small.yaml", code=2)
    assert "dlexp verify --config small.yaml" in run(work, "verify", "small.yaml", code=2)
    (work / "full.yaml").write_text(run(work, "config"))
    assert "complete configuration" in run(work, "train", "--resume", "x", "--config", "full.yaml", code=2)
