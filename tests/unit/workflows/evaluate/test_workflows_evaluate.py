"""What an evaluation leaves in eval/<split>/, and what it says of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused
from report_of import report
from sklearn import metrics as sk
from typer.testing import CliRunner

from dlexp.cli.app import app_with
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.data.bundle import DataBundle, Split
from dlexp.data.columns import tensor_of
from dlexp.data.preprocess import Affine
from dlexp.errors import ConfigError
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.classes import PER_CLASS
from dlexp.metrics.reports.figures import SampleImages
from dlexp.metrics.reports.report import Report
from dlexp.specs import ClassSpec, DataSpec, ImageSpec
from dlexp.types import Prediction
from dlexp.workflows.evaluate import files
from dlexp.workflows.evaluate.evaluate import evaluate_run
from dlexp.workflows.evaluate.files import write_figures, write_tables
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, train

pytestmark = pytest.mark.pictures

FEW = ("trainer.device=cpu", "trainer.epochs=2", "model.hidden=[8]")


def trained(folder: Path, *words: str) -> Path:
    run = folder / "run"
    train(load([*FEW, *words], Catalog()), Request((*FEW, *words), (), run), Silent())
    return run


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("digits"), "data=digits", "data.train_per_class=10")


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time, and most tests look at numbers."""
    monkeypatch.setattr("dlexp.workflows.evaluate.evaluate.write_figures", lambda *_: {})


def test_classes_leave_every_file_and_metrics_that_a_reader_finds_again(digits: Path) -> None:
    content = evaluate_run(digits, "test", "best", {}, (), resampling=Resampling(200))
    folder = digits / "eval" / "test"
    assert json.loads((folder / "report.json").read_text()) == content
    assert {path.name for path in folder.iterdir()} == {
        *("report.json", "predictions.csv", "per_class.csv", "confusion.csv", "mistakes.csv"),
        *("confusion.png", "confusion_share.png", "roc.png", "pr.png", "reliability.png", "mistakes.png"),
    }
    rows = read(folder / "predictions.csv")
    assert len(rows) == content["samples"]
    true = np.array([row["true"] for row in rows])
    names = sorted(set(true))
    p = np.array([[float(row[f"p({name})"]) for name in names] for row in rows])
    assert content["metrics"]["roc_auc"] == pytest.approx(sk.roc_auc_score(true, p, multi_class="ovr"), abs=1e-6)
    assert content["metrics"]["top_3_accuracy"] == pytest.approx(sk.top_k_accuracy_score(true, p, k=3), abs=1e-6)
    assert content["bootstrap"] == {"resamples": 200, "level": 0.95, "seed": 0}
    methods = {name: each["method"] for name, each in content["intervals"].items()}
    assert (methods["accuracy"], methods["roc_auc"], methods["log_loss"]) == (
        "Clopper-Pearson",
        "Newcombe",
        "bootstrap-t",
    )
    assert set(content["intervals"]) == set(content["metrics"]) - {"loss"}
    assert content["schema"] == 5
    classes = read(folder / "per_class.csv")
    assert tuple(classes[0]) == PER_CLASS
    assert sum(int(row["support"]) for row in classes) == sum(int(row["predicted"]) for row in classes) == len(rows)


@pytest.mark.usefixtures("no_pictures")
def test_the_worst_mistakes_are_wrong_and_worst_first(digits: Path) -> None:
    evaluate_run(digits, "val", "best", {}, (), resampling=Resampling(0))
    folder = digits / "eval" / "val"
    rows, mistakes = read(folder / "predictions.csv"), read(folder / "mistakes.csv")
    wrong = {row["row"]: -np.log(float(row[f"p({row['true']})"])) for row in rows if row["true"] != row["predicted"]}
    assert len(mistakes) == min(100, len(wrong)) > 0
    losses = [float(row["loss"]) for row in mistakes]
    assert losses == sorted(losses, reverse=True)
    assert {row["row"]: float(row["loss"]) for row in mistakes} == pytest.approx(
        {row["row"]: wrong[row["row"]] for row in mistakes}
    )
    assert losses[0] == pytest.approx(max(wrong.values()))


def test_values_leave_residuals_and_the_largest_errors(tmp_path: Path) -> None:
    run = trained(tmp_path, "data=diabetes")
    content = evaluate_run(run, "test", "best", {}, (), resampling=Resampling(150))
    folder = run / "eval" / "test"
    assert {path.name for path in folder.iterdir()} == {
        *("report.json", "predictions.csv", "mistakes.csv", "predicted.png", "residuals.png"),
    }
    rows, worst_rows = read(folder / "predictions.csv"), read(folder / "mistakes.csv")
    errors = [abs(float(row["true target"]) - float(row["predicted target"])) for row in rows]
    first = worst_rows[0]
    assert abs(float(first["true target"]) - float(first["predicted target"])) == pytest.approx(max(errors))
    assert content["metrics"]["max_error"] == pytest.approx(max(errors))
    assert content["intervals"]["max_error"]["low"] is None
    assert content["per_output"]["target"]["rmse"] == pytest.approx(content["metrics"]["rmse"])


@pytest.mark.usefixtures("no_pictures")
def test_each_split_access_is_counted_and_shown(digits: Path) -> None:
    before = evaluate_run(digits, "test", "best", {}, (), resampling=Resampling(0))["split_accesses"]
    found = CliRunner().invoke(app_with(), ["evaluate", str(digits), "--resamples", "0"])
    assert found.exit_code == 0, found.output
    assert f"{before + 1} times" in found.output
    assert "interval" not in found.output
    found = CliRunner().invoke(app_with(), ["evaluate", str(digits), "--resamples", "100", "--level", "0.5", "--json"])
    content = json.loads(found.output)
    assert content["split_accesses"] == before + 2
    assert content["bootstrap"]["level"] == 0.5


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--level", "95"], "out-of-range"),
        (["--resamples", "7"], "too-few-samples"),
    ],
)
def test_intervals_that_cannot_be_are_refused(digits: Path, words: list[str], code: str) -> None:
    found = CliRunner().invoke(app_with(), ["evaluate", str(digits), *words])
    assert isinstance(found.exception, ConfigError)
    refused(found.exception, code, words[0])
    assert found.exception.problems[0].given.startswith(words[1])


@pytest.mark.usefixtures("no_pictures")
def test_a_metric_on_request_decides_and_others_do_not_pay_for_it(tmp_path: Path) -> None:
    run = trained(tmp_path, "data=breast_cancer", "trainer.monitor=val/roc_auc", "trainer.epochs=4")
    rows = read(run / "metrics.csv")
    areas = [float(row["val/roc_auc"]) for row in rows]
    assert json.loads((run / "summary.json").read_text())["best_epoch"] == 1 + int(np.argmax(areas))
    evaluated = evaluate_run(run, "val", "best", {}, (), resampling=Resampling(0))
    logged = rows[int(np.argmax(areas))]
    for name in ("loss", "accuracy", "balanced_accuracy", "f1_macro", "roc_auc"):  # to the last bit
        assert evaluated["metrics"][name] == float(logged[f"val/{name}"])
    assert not {"val/brier", "val/log_loss"} & set(rows[0])


def bundle(inputs: torch.Tensor, preprocessing: dict[str, Any]) -> DataBundle:
    count = len(inputs)
    split = Split.in_memory(inputs, torch.arange(count) % 2, torch.arange(count))
    channels, height, width = inputs.shape[1:]
    spec = DataSpec(ImageSpec(channels, height, width), ClassSpec(("a", "b")))
    whole = Affine(torch.tensor(1.0), torch.tensor(0.0))
    return DataBundle(spec, dict.fromkeys(("train", "val", "test"), split), whole, "", preprocessing)


@pytest.mark.parametrize("preprocessing", [{"white": 16}, {}])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_images_of_any_kind_are_drawn_where_they_are_pictures(
    tmp_path: Path, channels: int, preprocessing: dict[str, Any]
) -> None:
    data = bundle(torch.randint(0, 16, (6, channels, 4, 4), dtype=torch.uint8), preprocessing)
    outputs = torch.tensor([[0.2, 0.8]]).expand(6, 2)
    details = report(
        data.spec, [Prediction(outputs, tensor_of(data.splits["test"].targets), torch.tensor(0.0), torch.arange(6))]
    )
    found = details.figures["mistakes"]
    assert isinstance(found, SampleImages)
    assert found.positions == [0, 2, 4]
    write_tables(tmp_path, details)
    write_figures(tmp_path, "test", data, details)
    assert (tmp_path / "mistakes.png").is_file() == (channels != 2)


def test_pictures_of_an_earlier_evaluation_do_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("own", "roc", "residuals-3"):
        (tmp_path / f"{name}.png").touch()
    monkeypatch.setattr(files, "_drawings", lambda *_: [("pr", lambda: b"new")])
    write_figures(tmp_path, "test", bundle(torch.zeros(2, 1, 2, 2), {}), Report({}))
    assert {path.name for path in tmp_path.iterdir()} == {"own.png", "pr.png"}
