"""`dlexp` as a process: what it prints, writes and ends with; the installed script for the first of its runs."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import prefork
import pytest
import torch

DLEXP = str(Path(sys.executable).with_name("dlexp"))


def dlexp(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `dlexp` in `cwd`; extra keyword arguments are environment variables."""
    return prefork.run(*words, cwd=cwd, env=environment(**env))


def installed(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """The same with the installed script, in a new interpreter."""
    line, both = [DLEXP, *words], {**environment(), **env}
    return subprocess.run(line, cwd=cwd, env=both, capture_output=True, text=True, timeout=240)


def environment(**more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DLEXP_")}
    return {**clean, "OMP_NUM_THREADS": "1", **more}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one short run was trained."""
    folder = tmp_path_factory.mktemp("finished")
    done = installed("train", "trainer.epochs=3", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "stdout.json").write_text(done.stdout)
    return folder


def run_of(folder: Path) -> Path:
    return (folder / "outputs" / "latest").resolve()


def test_a_run_leaves_everything_that_its_directory_promises(finished: Path) -> None:
    run = run_of(finished)
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    # Of short epochs not every one is written, and the first write has none before it.
    assert names - {"checkpoints/previous.pt"} == {
        ".lock", "checkpoints/best.pt", "checkpoints/hashes.json", "checkpoints/last.pt",
        "command.txt", "config.yaml", "env.txt", "git.diff", "meta.json", "metrics.csv", "metrics.jsonl",
        "overrides.yaml", "plots/curves.png", "preprocessing.json", "status.json", "summary.json", "train.log",
    }  # fmt: skip
    assert json.loads((run / "status.json").read_text())["state"] == "finished"
    assert (run / "command.txt").read_text().startswith("dlexp train trainer.epochs=3 --json\n")


def test_json_goes_to_standard_output_alone(finished: Path) -> None:
    summary = json.loads((finished / "stdout.json").read_text())
    on_disk = json.loads((run_of(finished) / "summary.json").read_text())
    assert summary == on_disk
    assert summary["epochs"] == 3
    assert summary["best"]["accuracy"] > 0.9


def test_metrics_have_one_row_an_epoch_and_fixed_columns(finished: Path) -> None:
    with (run_of(finished) / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(value for row in rows for value in row.values())
    kinds = [json.loads(line)["kind"] for line in (run_of(finished) / "metrics.jsonl").read_text().splitlines()]
    assert kinds.count("epoch") == 3
    assert kinds.count("step") == 6  # 20 updates an epoch, a row every 10


def test_evaluate_repeats_the_logged_validation_metric_exactly(finished: Path) -> None:
    done = dlexp("evaluate", "outputs/latest", "--split", "val", "--json", cwd=finished)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    logged = json.loads((run_of(finished) / "summary.json").read_text())["best"]
    assert logged == {name: report["metrics"][name] for name in logged}
    assert len(logged) == 4
    assert report["data_as_trained"] is True


def test_evaluate_counts_the_accesses_to_the_test_split(finished: Path) -> None:
    counts = [
        json.loads(dlexp("evaluate", "latest", "--json", cwd=finished).stdout)["split_accesses"] for _ in range(2)
    ]
    assert counts == [1, 2]
    folder = run_of(finished) / "eval" / "test"
    assert {path.name for path in folder.iterdir()} == {
        "confusion.csv", "confusion.png", "confusion_share.png", "mistakes.csv", "mistakes.png", "per_class.csv",
        "pr.png", "predictions.csv", "reliability.png", "report.json", "roc.png",
    }  # fmt: skip
    with (folder / "predictions.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 359


def test_the_same_line_twice_gives_the_same_bits(tmp_path: Path) -> None:
    words = ("train", "trainer.epochs=2", "data.augment=crop", "-q")
    for name in ("a", "b"):
        assert dlexp(*words, "--run-dir", name, cwd=tmp_path).returncode == 0
    one, other = (torch.load(tmp_path / n / "checkpoints" / "last.pt", weights_only=True) for n in ("a", "b"))
    assert one["networks"].keys() == other["networks"].keys()
    assert all(torch.equal(one["networks"][key], other["networks"][key]) for key in one["networks"])


def test_from_repeats_a_run_bit_for_bit_and_names_what_is_changed(finished: Path) -> None:
    same = dlexp("train", "--from", "latest", "--run-dir", "again", "-q", cwd=finished)
    assert same.returncode == 0, same.stderr
    assert "changed" not in same.stderr
    one = torch.load(run_of(finished) / "checkpoints" / "last.pt", weights_only=True)["networks"]
    other = torch.load(finished / "again" / "checkpoints" / "last.pt", weights_only=True)["networks"]
    assert all(torch.equal(one[key], other[key]) for key in one)
    changed = dlexp("train", "--from", "again", "optim.lr=0.01", "--run-dir", "changed", "-q", cwd=finished)
    assert changed.stderr == "changed: optim.lr: 0.002 -> 0.01\n"


def test_resuming_a_finished_run_says_so_and_ends_with_zero(finished: Path) -> None:
    done = dlexp("train", "--resume", "outputs/latest", cwd=finished)
    assert done.returncode == 0
    assert "already finished" in done.stderr


def test_seeds_make_a_table_that_evaluate_reads(tmp_path: Path) -> None:
    done = dlexp("train", "data=iris", "trainer.epochs=2", "--seeds", "3", "-q", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    assert [Path(run).name for run in table["runs"]] == ["seed-42", "seed-43", "seed-44"]
    assert table["over_seeds"]["val/accuracy"]["n"] == 3
    evaluated = json.loads(dlexp("evaluate", "latest", "--json", cwd=tmp_path).stdout)
    assert evaluated["over_seeds"]["accuracy"]["n"] == 3


def test_a_model_of_ones_own_trains_without_touching_dlexp(tmp_path: Path) -> None:
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").write_text(
        "from torch import nn\n\n\n"
        "class MyNet(nn.Module):\n"
        "    def __init__(self, in_features, num_classes, width=8):\n"
        "        super().__init__()\n"
        "        first = nn.Linear(in_features, width)\n"
        "        self.net = nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(width, num_classes))\n"
        "    def forward(self, x):\n"
        "        return self.net(x)\n"
    )
    (tmp_path / "my_conf" / "model").mkdir(parents=True)
    (tmp_path / "my_conf" / "model" / "my_net.yaml").write_text("# Mine\n_target_: my_package.MyNet\nwidth: 16\n")
    line = ("train", "--config-dir", "my_conf", "model=my_net", "trainer.epochs=1", "-q", "--run-dir", "run")
    refused = dlexp(*line, cwd=tmp_path)
    assert refused.returncode == 2
    assert "--trust my_package" in refused.stderr
    assert not (tmp_path / "run").exists()
    trained = dlexp(*line, "--trust", "my_package", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert dlexp("evaluate", "run", cwd=tmp_path).returncode == 2
    assert dlexp("evaluate", "run", cwd=tmp_path, DLEXP_TRUST="my_package").returncode == 0


def test_a_csv_file_is_trained_on_and_its_path_outlives_the_folder(tmp_path: Path) -> None:
    lines = ["age,city,buys"] + [f"{20 + n},{('Rome', 'Paris')[n % 2]},{('no', 'yes')[n % 2]}" for n in range(40)]
    (tmp_path / "people.csv").write_text("\n".join(lines) + "\n")
    words = ("data=csv", "data.path=people.csv", "data.target=buys", "trainer.epochs=5")
    assert dlexp("train", *words, "-q", "--run-dir", "run", cwd=tmp_path).returncode == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = dlexp("evaluate", "../run", "--json", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["accuracy"] == 1.0


def test_regression_reports_in_the_units_of_the_target(tmp_path: Path) -> None:
    assert dlexp("train", "data=diabetes", "trainer.epochs=10", "-q", "--run-dir", "run", cwd=tmp_path).returncode == 0
    report = json.loads(dlexp("evaluate", "run", "--json", cwd=tmp_path).stdout)
    assert 30 < report["metrics"]["mae"] < 80
    assert report["per_output"]["target"]["rmse"] == pytest.approx(report["metrics"]["rmse"], rel=1e-6)
    assert (tmp_path / "run" / "eval" / "test" / "predicted.png").is_file()


def test_init_from_takes_the_weights_and_nothing_else(finished: Path) -> None:
    words = (
        "train",
        "init_from=outputs/latest",
        "trainer.epochs=1",
        "optim.lr=1e-9",
        "-q",
        "--json",
        "--run-dir",
        "warm",
    )
    done = dlexp(*words, cwd=finished)
    assert done.returncode == 0, done.stderr
    before = json.loads((run_of(finished) / "summary.json").read_text())["best"]["accuracy"]
    assert json.loads(done.stdout)["best"]["accuracy"] == pytest.approx(before, abs=0.02)
    assert json.loads(done.stdout)["updates"] == 20
    other = dlexp("train", "init_from=outputs/latest", "model=simple_cnn", cwd=finished)
    assert other.returncode == 2
    assert "belong to another model" in other.stderr


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = dlexp("train", "model=resnet18", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert "first update" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_python_m_dlexp_is_the_same_command(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "dlexp", "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("dlexp 0.")


def test_a_letter_that_the_encoding_lacks_ends_no_command(tmp_path: Path) -> None:
    found = installed("summary", "model=resnet18", "--depth", "3", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert found.returncode == 0, found.stderr
    assert "\\u2026" in found.stdout
