"""A function of the user as a metric, from the first epoch to a study, and the mistakes that are made with one."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dlexp.assemble.experiment import assemble
from dlexp.assemble.metrics import check_metrics
from dlexp.cli.app import main
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.data.columns import tensor_of
from dlexp.errors import ConfigError

CODE = """
import numpy as np


def profit(predictions, targets, gain=1.0, loss=2.0):
    chosen = predictions[:, 1] > 0.5
    return float(np.where(targets[chosen] == 1, gain, -loss).sum() / len(targets))


def broken(predictions, targets):
    return predictions.nope


def gone(predictions, targets):
    return float("nan")


class Worst:
    def __init__(self, power=1):
        self.power = power

    def __call__(self, predictions, targets):
        return np.abs(predictions - targets).max() ** self.power


class NoCall:
    pass
"""
FAST = ("data=breast_cancer", "model.hidden=[8]", "trainer.epochs=2", "-q")
MINE = ("--config-dir", "conf", "--trust", "own_metrics_package")


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "own_metrics_package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "metrics.py").write_text(CODE)
    (tmp_path / "conf" / "metrics").mkdir(parents=True)
    (tmp_path / "conf" / "metrics" / "profit.yaml").write_text(
        "# Money per sample\n_target_: own_metrics_package.metrics.profit\nmode: max\ngain: 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.startswith("own_metrics_package")]:
        del sys.modules[name]


def run(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert (stopped.value.code or 0) == code, words


def json_of(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    run(*words, "--json", code=code)
    captured = capsys.readouterr()
    return json.loads(captured.out or captured.err)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_function_decides_which_epoch_is_best_and_is_evaluated_with_an_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("metrics=[profit,recall[malignant]]", "trainer.monitor=val/profit", "scheduler=plateau")
    stop = "regularization.early_stopping.patience=1"
    run("train", *FAST, *words, stop, "trainer.epochs=6", "--run-dir", "one", *MINE)
    rows, folder = rows_of(tmp_path / "one"), tmp_path / "one"
    values = [float(row["val/profit"]) for row in rows]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["monitor"] == "val/profit"
    assert summary["best_epoch"] == int(np.argmax(values)) + 1
    assert summary["best"]["profit"] == max(values)
    assert len(rows) == 6 or len(rows) == summary["best_epoch"] + 1
    assert "profit (higher is better)" in (folder / "train.log").read_text()

    content = json_of(capsys, "evaluate", "one", "--resamples", "100", "--trust", "own_metrics_package")
    with (folder / "eval" / "test" / "predictions.csv").open(newline="") as file:
        samples = list(csv.DictReader(file))
    chosen = [row for row in samples if row["predicted"] == "benign"]
    right = sum(row["true"] == "benign" for row in chosen)
    expected = (3 * right - 2 * (len(chosen) - right)) / len(samples)
    assert content["metrics"]["profit"] == pytest.approx(expected)
    assert content["intervals"]["profit"]["low"] < expected < content["intervals"]["profit"]["high"]
    with (folder / "eval" / "test" / "per_class.csv").open(newline="") as file:
        known = {row["class"]: row for row in csv.DictReader(file)}
    recall = content["metrics"]["recall[malignant]"]
    assert recall == pytest.approx(float(known["malignant"]["recall"]))
    low = content["intervals"]["recall[malignant]"]["low"]
    assert low == pytest.approx(float(known["malignant"]["recall_low"]))

    run("report", "one")
    assert "recall[malignant]" in (folder / "report.html").read_text()
    capsys.readouterr()
    run("runs", "show", "one")
    assert "val/recall[malignant]" in capsys.readouterr().out
    run("evaluate", "one", code=2)  # trust is never saved


def test_runs_are_compared_by_a_function_over_seeds_and_by_a_recall_over_samples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = "metrics=[profit,recall[malignant],{cost:{matrix:[[0,5],[1,0]]}}]"
    for name, rate in (("a", "0.002"), ("b", "1e-6")):
        run("train", *FAST, named, f"optim.lr={rate}", "trainer.test=true", "--seeds", "2", "--run-dir", name, *MINE)
    found = json_of(capsys, "compare", "a", "b", "--metric", "profit")
    assert (found["metric"], found["maximize"], found["samples"]) == ("test/profit", True, 0)
    for name, maximize in (("recall[malignant]", True), ("cost", False)):
        found = json_of(capsys, "compare", "a", "b", "--metric", name)
        assert (found["metric"], found["maximize"], found["samples"]) == (f"test/{name}", maximize, 113)
        (pair,) = found["pairs"]
        means = [group["metrics"][f"test/{name}"]["mean"] for group in found["groups"]]
        assert abs(pair["difference"]["value"]) == pytest.approx(abs(means[0] - means[1]))
    error = json_of(capsys, "compare", "a/seed-42", "b/seed-42", "--metric", "profit", code=2)
    (problem,) = error["error"]["problems"] if "error" in error else error["problems"]
    assert problem["code"] == "missing-requirement" and "--seeds 5" in problem["remedy"]


def test_a_study_searches_for_the_largest_value_of_a_function(tmp_path: Path) -> None:
    words = ("metrics=[profit]", "trainer.monitor=val/profit")
    run("tune", "-n", "2", *FAST, *words, "--name", "study", *MINE)
    study = tmp_path / "outputs" / "tune" / "study"
    content = json.loads((study / "study.json").read_text())
    assert (content["metric"], content["direction"]) == ("val/profit", "maximize")
    values = [
        max(float(row["val/profit"]) for row in rows_of(path.parent)) for path in study.glob("trials/*/metrics.csv")
    ]
    assert content["best"]["value"] == max(values)


def problems_of(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, str]]:
    error = json_of(capsys, "train", *FAST, *words, code=2)
    found: list[dict[str, str]] = error["error"]["problems"] if "error" in error else error["problems"]
    return found


@pytest.mark.parametrize(
    "item, code, part",
    [
        ("own_metrics_package.metrics.broken", "invalid-value", "metrics.py:11"),
        ("own_metrics_package.metrics.profitt", "not-found", "profit"),
        ("{own_metrics_package.metrics.profit:{gian:3}}", "unknown-key", "gain"),
        ("own_metrics_package.metrics.NoCall", "invalid-type", "__call__"),
        ("recall[malignnt]", "unknown-value", "recall[malignant]"),
        ("{cost:{matrix:[[0,1,1],[1,0,1],[1,1,0]]}}", "invalid-value", "malignant, benign"),
        ("top_5_accuracy", "cannot-combine", "accuracy"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_refused_before_the_first_epoch(
    item: str, code: str, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (problem,) = problems_of(capsys, f"metrics=[{item}]", *MINE)
    assert problem["code"] == code
    assert part in problem["rule"] + problem["remedy"]
    assert not list(tmp_path.glob("outputs/train/*/metrics.csv"))


def test_a_class_that_the_validation_split_lacks_is_refused() -> None:
    experiment = assemble(load(["data=iris", "metrics=[recall[setosa],specificity[setosa]]"], Catalog()))
    check_metrics(experiment.bundle, experiment.metrics)
    val = experiment.bundle.splits["val"]
    others = val.select(torch.nonzero(tensor_of(val.targets) != 0)[:, 0])
    bundle = replace(experiment.bundle, splits={**experiment.bundle.splits, "val": others})
    with pytest.raises(ConfigError) as caught:
        check_metrics(bundle, experiment.metrics)
    (problem,) = caught.value.problems
    assert (problem.code, problem.given) == ("incompatible-data", "recall[setosa]")
    assert "setosa" in problem.rule


def test_a_function_without_a_value_ends_the_run_as_an_undefined_metric_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    item = "metrics=[{own_metrics_package.metrics.gone:{mode:max}}]"
    run("train", *FAST, item, "--run-dir", "logged", *MINE)
    assert {row["val/gone"] for row in rows_of(Path("logged"))} == {"nan"}
    content = json_of(capsys, "evaluate", "logged", "--resamples", "0", "--trust", "own_metrics_package")
    assert content["metrics"]["gone"] is None and "gone returned nan" in content["undefined"]["gone"]
    run("train", *FAST, item, "trainer.monitor=val/gone", "--run-dir", "deciding", *MINE, code=5)


def test_a_metric_of_one_class_is_shown_by_its_whole_name(capsys: pytest.CaptureFixture[str]) -> None:
    run("train", *FAST[:-1], "trainer.monitor=val/recall[malignant]")
    captured = capsys.readouterr()
    assert "2/2  " in captured.err and captured.err.count("val/recall[malignant] ") >= 2
    assert "by val/recall[malignant]" in captured.out
    for condition, count in (("val/recall[malignant]>0", 1), ("val/recall[malignant]>1", 0)):
        assert len(json_of(capsys, "runs", "--where", condition)["runs"]) == count


def test_a_function_that_fails_on_a_resample_has_no_interval_and_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_metrics_package" / "strict.py").write_text(
        "def strict(p, t):\n    if len(set(p[:, 0])) < len(t):\n        raise ValueError('twice')\n    return 1\n"
    )
    run("train", *FAST, "metrics=[own_metrics_package.strict.strict]", "--run-dir", "r", *MINE)
    run("evaluate", "r", "--trust", "own_metrics_package", "--resamples", "100")
    out = capsys.readouterr().out
    assert "strict has no interval" in out and "strict.py:3" in out


def test_a_class_of_the_user_is_made_once_and_called_with_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worst = "{own_metrics_package.metrics.Worst:{mode:min,power:2,name:worst}}"
    item = f"metrics=[{worst},max_error,{{within:{{tolerance:60}}}}]"
    run("train", "data=diabetes", "model.hidden=[8]", "trainer.epochs=1", "-q", item, "--run-dir", "r", *MINE)
    (row,) = rows_of(tmp_path / "r")
    assert float(row["val/worst"]) == pytest.approx(float(row["val/max_error"]) ** 2)
    assert 0 < float(row["val/within"]) < 1
    content = json_of(capsys, "evaluate", "r", "metrics=[{within:{tolerance:1e9}}]")
    assert content["metrics"]["within"] == 1.0 and "worst" not in content["metrics"]


def test_a_resumed_run_keeps_its_columns(tmp_path: Path) -> None:
    run("train", *FAST, "metrics=[cohen_kappa]", "--run-dir", "r")
    run("train", "--resume", "r", "trainer.epochs=3", "-q")
    assert all(float(row["val/cohen_kappa"]) <= 1 for row in rows_of(tmp_path / "r"))
    run("train", "--resume", "r", "trainer.epochs=4", "metrics=[brier]", "--allow-changes", "-q", code=2)


def test_embeddings_are_given_to_a_function_and_built_in_metrics_of_classes_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_metrics_package" / "spread.py").write_text(
        "def spread(embeddings, targets):\n    return float(embeddings.std()) * (embeddings.shape[1] == 4)\n"
    )
    words = ("data=iris", "task=metric_learning", "task.embedding_size=4", "trainer.epochs=1", "-q")
    run("train", *words, "metrics=[own_metrics_package.spread.spread]", "--run-dir", "r", *MINE)
    (row,) = rows_of(tmp_path / "r")
    assert float(row["val/spread"]) > 0
    content = json_of(capsys, "evaluate", "r", "--trust", "own_metrics_package", "--resamples", "100")
    assert content["metrics"]["spread"] > 0
    run("train", *words, "metrics=[recall[setosa]]", code=2)
