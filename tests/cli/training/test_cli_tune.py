"""`dlexp tune` as a process: what it writes, what a kill leaves, and what a crashing trial costs (T1-T14, T18)."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import prefork
import pytest
import yaml

LINE = ("data=iris", "trainer.epochs=3", "--name", "s")
FLAT = ("optim=sgd", "search.space.model.hidden=null", "search.space.data.batch_size=null", "search.confirm_top=0")
NET = """
import os
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, num_classes, width=8):
        super().__init__()
        if width == 3:
            os._exit(3)
        if width == 4:
            raise ValueError("no such width")
        if width == 5:
            os.kill(os.getpid(), 9)
        self.net = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, x):
        return self.net(x)
"""


def start(folder: Path, *words: str) -> prefork.Process:
    env = {key: value for key, value in os.environ.items() if not key.startswith("DLEXP_")}
    env |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    return prefork.Process(("tune", *words), cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def tune(folder: Path, *words: str, code: int = 0) -> tuple[str, str]:
    process = start(folder, *words)
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    return out, err


def study_of(folder: Path) -> Path:
    return folder / "outputs" / "tune" / "s"


def rows(folder: Path) -> list[dict[str, str]]:
    with (study_of(folder) / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def states(folder: Path) -> list[str]:
    return [row["state"] for row in rows(folder)]


def content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((study_of(folder) / "study.json").read_text())
    return found


def wait_for(path: Path, process: prefork.Process) -> None:
    while process.poll() is None and not (path.is_file() and path.stat().st_size):
        time.sleep(0.01)  # polling another process: there is nothing to be notified by
    assert process.poll() is None, process.communicate()


def own_net(folder: Path, widths: str) -> tuple[str, ...]:
    """The words that search the widths of a model that crashes at some of them."""
    (folder / "nets.py").write_text(NET)
    (folder / "my" / "model").mkdir(parents=True)
    (folder / "my" / "model" / "net.yaml").write_text("# Mine\n_target_: nets.Net\nwidth: 8\n")
    own = ("--config-dir", "my", "--trust", "nets", "model=net", "search.sampler=grid", "search.confirm_top=0")
    keys = ("optim.lr", "optim.weight_decay", "optim.momentum", "data.batch_size")
    space = (f"search.space.{key}=null" for key in keys)
    return (*LINE, *own, "optim=sgd", *space, f"search.space.model.width={{choice:{widths}}}")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    tune(folder, *LINE, "-n", "5")
    return folder


def test_a_study_leaves_its_files(finished: Path) -> None:
    study = study_of(finished)
    assert len(rows(finished)) == 5
    assert set(states(finished)) <= {"complete", "pruned"}
    best = content(finished)["best"]
    assert best["value"] == min(float(row["value"]) for row in rows(finished) if row["state"] == "complete")
    assert (study / "best.yaml").read_text().startswith(f"# trial {best['trial']} of s: val/loss {best['value']!r}, in")
    assert yaml.safe_load((study / "best.yaml").read_text())["choices"]["data"] == "iris"
    assert json.loads((study / "importance.json").read_text()) == content(finished)["importances"]
    pictures = {path.name for path in (study / "plots").iterdir()}
    assert {"history.png", "parallel.png", "intermediate.png"} <= pictures
    assert "importances.png" not in pictures  # five trials have no best tenth
    assert content(finished)["without_importances"] in (study / "report.html").read_text()
    assert not (study / "eval").exists()
    assert not list(study.glob("trials/*/eval"))


def test_trial_0_is_the_configuration_as_written(finished: Path) -> None:
    one, other = (study_of(finished) / name for name in ("base.yaml", "trials/0000/config.yaml"))
    assert one.read_text() == other.read_text()
    assert content(finished)["baseline"] == float(rows(finished)[0]["value"])


def test_a_trial_is_not_resumed_but_can_be_trained_as_a_run(finished: Path) -> None:
    trial = study_of(finished) / "trials" / "0000"
    before = {path.name: path.read_bytes() for path in trial.iterdir() if path.is_file()}
    env = {key: value for key, value in os.environ.items() if not key.startswith("DLEXP_")}
    for words, code in ((("train", "--resume", str(trial)), 2), (("evaluate", str(trial)), 1)):
        process = prefork.Process(words, cwd=finished, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=240)
        assert process.returncode == code and "a trial of a study" in err and "dlexp train --from" in err, err
    assert {path.name: path.read_bytes() for path in trial.iterdir() if path.is_file()} == before


def test_the_winner_is_confirmed_on_fresh_seeds_or_nothing_is_claimed(finished: Path) -> None:
    verdict = content(finished)["confirmation"]
    if content(finished)["best"]["trial"] == 0:
        assert verdict["rows"] == {}
        return
    assert [row["n"] for row in verdict["rows"].values()] == [3, 3]
    assert "baseline" in verdict["text"]


def test_the_same_line_again_runs_no_trial(finished: Path) -> None:
    before = rows(finished)
    out, err = tune(finished, *LINE, "-n", "5")
    assert "5 trials" in err and "-n" in err
    assert out.splitlines()[-2:] == ["", "next: dlexp train --from outputs/tune/s"]
    assert rows(finished) == before


def test_another_metric_is_another_study(finished: Path) -> None:
    _, err = tune(finished, *LINE, "-n", "6", "task.monitor=val/accuracy", code=2)
    assert "minimize val/loss" in err and "maximize val/accuracy" in err


def test_a_space_that_does_not_mix_is_refused_and_migrated(finished: Path) -> None:
    batches = "search.space.data.batch_size={choice:[16,32,64]}"
    _, err = tune(finished, *LINE, "-n", "6", batches, code=2)
    assert "search.space.data.batch_size=one of 16, 32, 64" in err
    assert "--name NEW --migrate s" in " ".join(err.split())
    words = ("data=iris", "trainer.epochs=3", batches, "search.confirm_top=0", "--name", "moved", "--migrate", "s")
    before = rows(finished)
    _, err = tune(finished, *words, "-n", "2")
    message = " ".join(err.split())
    copied = sum(row["data.batch_size"] != "128" and int(row["trial"]) > 0 for row in before)
    assert re.findall(r"\d+", message)[:2] == [str(copied), str(5 - copied)]
    assert re.search(r"model\.hidden .*\(1\)", message)  # the initial configuration is outside the space
    assert rows(finished) == before
    with (finished / "outputs" / "tune" / "moved" / "trials.csv").open(newline="") as file:
        moved = list(csv.DictReader(file))
    here = [row["value"] for row in moved if row["folder"].startswith("../s/trials/")]
    assert here == [row["value"] for row in before if row["data.batch_size"] != "128" and int(row["trial"]) > 0]


def test_the_winner_is_trained_from_the_study(finished: Path) -> None:
    words = ("train", "--from", "outputs/tune/s", "--run-dir", "again", "-q")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = prefork.run(*words, cwd=finished, env=env)
    assert done.returncode == 0, done.stderr
    best = content(finished)["best"]
    assert (finished / "again" / "config.yaml").read_text() == (
        study_of(finished) / best["folder"] / "config.yaml"
    ).read_text()
    assert json.loads((finished / "again" / "summary.json").read_text())["best"]["loss"] == best["value"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 75)])
def test_a_study_that_is_cut_off_goes_on_to_its_exact_total(tmp_path: Path, number: int, code: int) -> None:
    line = ("data=iris", "trainer.epochs=60", "--name", "s", *FLAT, "search.pruner=none", "-n", "4")
    process = start(tmp_path, *line)
    wait_for(study_of(tmp_path) / "trials" / "0001" / "metrics.jsonl", process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert content(tmp_path)["best"]["trial"] == 0
    assert yaml.safe_load((study_of(tmp_path) / "best.yaml").read_text())["choices"]["optim"] == "sgd"
    if number == signal.SIGTERM:
        assert states(tmp_path) == ["complete", "requeued"]
        assert "SIGTERM" in err and "1 of 4 trials" in " ".join(err.split())
    tune(tmp_path, *line)
    assert states(tmp_path) == ["complete", "requeued", "complete", "complete", "complete"]
    cut, again = rows(tmp_path)[1:3]
    assert again["folder"] == cut["folder"] == "trials/0001"
    assert [cut[key] for key in cut if "optim." in key] == [again[key] for key in again if "optim." in key]
    result = json.loads((study_of(tmp_path) / "trials" / "0001" / "result.json").read_text())
    # A signal is saved; trials save every few seconds, so that one killed in its first seconds begins again.
    assert result["first_epoch"] > (1 if number == signal.SIGTERM else 0)
    assert result["epochs"] == 60


def test_a_trial_that_crashes_is_a_failed_trial_and_no_more(tmp_path: Path) -> None:
    tune(tmp_path, *own_net(tmp_path, "[3,4,5,6]"), "-n", "5")
    reasons = {row["model.width"]: row["reason"] for row in rows(tmp_path) if row["state"] == "failed"}
    assert reasons.keys() == {"3", "4", "5"}
    assert reasons["3"] == "ended with exit code 3"
    assert "no such width" in reasons["4"]
    assert reasons["5"] == "killed by SIGKILL"
    assert content(tmp_path)["trials"] == {"complete": 2, "failed": 3}


def test_a_study_in_which_every_trial_fails_has_no_result(tmp_path: Path) -> None:
    words = (*own_net(tmp_path, "[3,4]"), "model.width=3", "search.max_failures=2", "-n", "9")
    _, err = tune(tmp_path, *words, code=5)
    assert "2 trials failed in a row (search.max_failures)" in " ".join(err.split())
    assert states(tmp_path) == ["failed", "failed"]
    assert not (study_of(tmp_path) / "best.yaml").exists()


def test_a_hopeless_trial_is_pruned(tmp_path: Path) -> None:
    pruner = ("search.pruner_startup_trials=1", "search.pruner_warmup_epochs=0", "search.sampler=grid")
    space = [f"search.space.optim.{key}=null" for key in ("momentum", "weight_decay")]
    words = ("search.space.model.dropout=null", "search.space.optim.lr={choice:[1e-2,1e-9]}", "optim.lr=0.01")
    tune(tmp_path, *LINE, *FLAT, *pruner, *space, *words, "-n", "3")
    pruned = {row["optim.lr"] for row in rows(tmp_path) if row["state"] == "pruned"}
    assert pruned == {"1e-09"}
    assert content(tmp_path)["epochs_saved_by_pruning"] == 2


def test_two_jobs_make_the_exact_total(tmp_path: Path) -> None:
    tune(tmp_path, *LINE, *FLAT, "--jobs", "2", "-n", "5")
    assert len(states(tmp_path)) == 5
    assert set(states(tmp_path)) <= {"complete", "pruned"}


def test_a_dry_run_shows_the_space_and_writes_nothing(tmp_path: Path) -> None:
    out, _ = tune(tmp_path, "data=iris", "trainer.epochs=3", "-n", "7", "--dry-run")
    assert "optim=sgd/optim.momentum" in out
    assert "at most 39 epochs: 7 trials and 6 confirmation runs, 3 epochs each" in " ".join(out.split())
    assert [line for line in out.splitlines() if line in ("optim=sgd", "optim=adam", "optim=adamw")] == [
        "optim=sgd", "optim=adam", "optim=adamw",
    ]  # fmt: skip
    shown = json.loads(tune(tmp_path, "data=iris", "--dry-run", "--json", "search.confirm_top=0")[0])
    assert (shown["trials"], shown["confirmations"], shown["epochs_at_most"]) == (50, 0, 1500)
    assert [sample["optim"] for sample in shown["samples"]] == ["sgd"] * 3 + ["adam"] * 3 + ["adamw"] * 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ("search.target=100", "search.target=100"),
        ("search.patience=1", "search.patience=1"),
        ("search.hours=1e-9", "search.hours=1e-09"),
    ],
)
def test_a_budget_ends_a_study_before_its_total(tmp_path: Path, budget: str, reason: str) -> None:
    _, err = tune(tmp_path, *LINE, *FLAT, budget, "-n", "40", code=5 if "hours" in budget else 0)
    assert reason in content(tmp_path)["reason"], err
    assert len(states(tmp_path)) < 40
    assert "running" not in states(tmp_path)


def test_a_trial_that_takes_too_long_is_pruned_and_not_repeated(tmp_path: Path) -> None:
    words = ("data=iris", "trainer.epochs=100000", "--name", "s", *FLAT, "search.trial_minutes=0.02")
    tune(tmp_path, *words, "-n", "2", code=5)
    assert [row["state"] for row in rows(tmp_path)] == ["pruned"] * 2
    assert all("search.trial_minutes" in row["reason"] for row in rows(tmp_path))
