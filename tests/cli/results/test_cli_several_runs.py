"""Sweeps and groups of seeds where a run is expected: evaluated, compared, reported and predicted with."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from dlexp.cli.app import main

QUICK = ("data=iris", "model.hidden=[4]", "trainer.epochs=2", "trainer.device=cpu", "-q")
ROWS = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5.1,3.5,1.4,0.2\n6,3,4.5,1.5\n"


@pytest.fixture(autouse=True)
def bare(unrendered: None) -> None:
    """Figures are not drawn."""


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    captured = capsys.readouterr()
    assert (stopped.value.code or 0) == code, captured.err
    return captured.out, captured.err


def test_a_sweep_is_compared_evaluated_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "train", "-m", *QUICK, "optim.lr=0.1,0.001", "--run-dir", "s")
    told, _ = run(capsys, "compare", "s")
    assert "val/accuracy" in told and "2 runs have no predictions" in told and "dlexp evaluate s" in told
    table, _ = run(capsys, "evaluate", "s", "--split", "val")
    assert not any(line.endswith(" ") for line in table.splitlines())
    content = json.loads(Path("s/eval-val.json").read_text())
    assert [job["varied"] for job in content["jobs"]] == [{"optim.lr": "0.1"}, {"optim.lr": "0.001"}]
    lines = Path("s/eval-val.csv").read_text().splitlines()
    assert [row["job"] for row in csv.DictReader(lines)] == ["0", "1"]
    own = json.loads(Path("s/000-mlp-iris/eval/val/report.json").read_text())["metrics"]
    assert content["jobs"][0]["metrics"]["accuracy"] == own["accuracy"]
    assert "30 samples" in run(capsys, "compare", "s", "--split", "val")[0]
    shutil.rmtree("s/001-mlp-iris/checkpoints")
    told, _ = run(capsys, "evaluate", "s", code=1)
    assert "not evaluated: job 1 optim.lr=0.001" in told
    run(capsys, "report", "s")
    assert Path("s/report.html").is_file()
    _, told = run(capsys, "export", "s", code=2)
    best = json.loads(Path("s/sweep.json").read_text())["best"]
    assert f"s/00{best}-mlp-iris" in told


def test_a_group_of_seeds_predicts_the_mean_of_its_probabilities(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "train", *QUICK, "--seeds", "2", "--run-dir", "g")
    Path("rows.csv").write_text(ROWS)

    def answers(folder: str) -> tuple[list[dict[str, str]], str]:
        out, err = run(capsys, "predict", folder, "rows.csv", "--probabilities")
        return list(csv.DictReader(io.StringIO(out))), err

    mean, told = answers("g")
    first, second = answers("g/seed-42")[0], answers("g/seed-43")[0]
    assert "mean of 2 runs" in told
    for row, one, other in zip(mean, first, second, strict=True):
        shares = {name: float(row[name]) for name in row if name.startswith("p(")}
        for name, share in shares.items():
            assert share == pytest.approx((float(one[name]) + float(other[name])) / 2, abs=1e-12)
        assert row["predicted"] == max(shares, key=lambda name: shares[name])[2:-1]
        assert float(row["confidence"]) == max(shares.values())
    content = json.loads(run(capsys, "predict", "g", "rows.csv", "--json")[0])
    assert len(content["mean_of"]) == 2


def test_values_of_a_group_are_averaged_and_embeddings_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("model.hidden=[4]", "trainer.epochs=1", "trainer.device=cpu", "-q", "--seeds", "2")
    run(capsys, "train", "data=diabetes", *words, "--run-dir", "v")
    columns = list(json.loads(Path("v/seed-42/preprocessing.json").read_text())["columns"])
    names = [column["name"] if isinstance(column, dict) else column for column in columns]
    Path("v.csv").write_text(",".join(names) + "\n" + ",".join("0.01" for _ in names) + "\n")
    found = [
        float(next(csv.DictReader(io.StringIO(run(capsys, "predict", folder, "v.csv")[0])))["predicted target"])
        for folder in ("v", "v/seed-42", "v/seed-43")
    ]
    assert found[0] == pytest.approx((found[1] + found[2]) / 2)
    run(capsys, "train", "data=iris", "task=metric_learning", *words, "--run-dir", "e")
    Path("rows.csv").write_text(ROWS)
    _, told = run(capsys, "predict", "e", "rows.csv", code=2)
    assert "have no mean" in told and "e/seed-42" in told


def test_quiet_evaluation_prints_the_metrics_alone(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "train", *QUICK, "--run-dir", "r")
    lines = run(capsys, "evaluate", "r", "-q")[0].splitlines()
    assert lines[0].startswith("test split") and lines[1].split()[0] == "metric"
    assert not any(line.startswith(("class", "  report")) for line in lines)
    assert run(capsys, "evaluate", "r")[0].count("\n") > len(lines)
