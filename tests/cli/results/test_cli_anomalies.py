"""Anomalies from the command line: a threshold of the training samples, and what it finds afterwards."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import pytest
from outside_package import dlexp

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError

TINY = ("model=autoencoder", "model.hidden=[8]", "model.latent=1", "data=csv", "trainer.epochs=3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("anomalies")
    lines = ["x,y,kind"]
    for n in range(150):
        x = math.sin(n)
        lines.append(f"{x:.4f},{2 * x:.4f},ok" if n % 10 else f"{9 + x:.4f},{-9 - x:.4f},fraud")
    (made / "pay.csv").write_text("\n".join(lines))
    (made / "new.csv").write_text("x,y\n0.1,0.2\n9,-9\n")
    return made


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    words = (f"data.path={folder / 'pay.csv'}", "data.target=kind", "data.anomalies=[fraud]", "trainer.test=true")
    dlexp("train", *TINY, *words, "--run-dir", str(folder / "run"), "-q")
    return folder / "run"


def test_training_has_no_anomaly_and_neither_have_its_statistics(run: Path) -> None:
    spec = json.loads((run / "preprocessing.json").read_text())
    assert spec["spec"]["targets"]["anomalies"] == [0]
    assert spec["spec"]["targets"]["counts"][0] == 0
    assert all(abs(column["mean"]) < 1 for column in spec["columns"])  # an anomaly is 9 or more away
    log = (run / "train.log").read_text()
    assert "anomalies: fraud; train and val have none of them, test has 3 anomalies among its 30 samples" in log


def test_the_threshold_is_kept_and_the_report_says_what_it_finds(run: Path) -> None:
    kept = json.loads((run / "anomaly_threshold.json").read_text())
    assert kept["quantile"] == 0.99 and kept["score"] == "reconstruction" and kept["samples"] == 81
    assert f"anomalies have a reconstruction above {kept['threshold']:.4g}" in (run / "train.log").read_text()
    report = json.loads((run / "eval/test/report.json").read_text())
    assert report["metrics"]["roc_auc"] == report["metrics"]["recall"] == 1.0
    assert {"roc_auc", "average_precision", "recall", "false_positive_rate"} < set(report["intervals"])
    assert report["anomaly_threshold"]["threshold"] == kept["threshold"]
    rows = list(csv.DictReader((run / "eval/test/scores.csv").read_text().splitlines()))
    assert sum(row["anomaly"] == "true" for row in rows) == 3
    for row in rows:
        assert (row["flagged"] == "true") == (float(row["score"]) > kept["threshold"])


def test_new_rows_are_judged_without_the_training_data(run: Path, folder: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(run, tmp_path / "run")
    dlexp("predict", str(alone), str(folder / "new.csv"), "--out", str(tmp_path / "found.csv"), "-q")
    usual, odd = csv.DictReader((tmp_path / "found.csv").read_text().splitlines())
    limit = json.loads((run / "anomaly_threshold.json").read_text())["threshold"]
    assert (usual["anomaly"], odd["anomaly"]) == ("false", "true")
    assert float(usual["score"]) <= limit < float(odd["score"])
    assert float(usual["threshold"]) == limit


@pytest.mark.parametrize("missing", ["file", "checkpoint"])
def test_without_a_threshold_there_is_a_score_alone(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    alone, more = shutil.copytree(run, tmp_path / "run"), list[str]()
    if missing == "file":
        (alone / "anomaly_threshold.json").unlink()
    else:
        more = ["--checkpoint", "last"]
    dlexp("predict", str(alone), str(folder / "new.csv"), *more, "--out", str(tmp_path / "found.csv"))
    assert "the columns anomaly and threshold are left out" in capsys.readouterr().err
    header = next(csv.reader((tmp_path / "found.csv").read_text().splitlines()))
    assert "score" in header and not {"anomaly", "threshold"} & set(header)


def test_a_table_without_a_target_is_read_from_its_first_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text((folder / "pay.csv").read_text().replace("kind", "label"))
    words = (f"data.path={tmp_path / 'plain.csv'}", "trainer.test=true", "task.anomaly_quantile=0.5")
    dlexp("train", *TINY, *words, "--run-dir", str(tmp_path / "run"), "-q")
    report = json.loads((tmp_path / "run/eval/test/report.json").read_text())
    assert "share_above_threshold" in report["metrics"] and "roc_auc" not in report["metrics"]
    assert "data.target=label" in (tmp_path / "run/train.log").read_text()  # it may hold labels


@pytest.mark.parametrize(
    ("words", "code", "remedy"),
    [
        ((*TINY, "data.anomalies=[fraud]"), "incompatible-data", "Add data.target=COLUMN of the classes"),
        (("data=csv", "data.target=kind", "data.anomalies=[fraud]"), "no-effect", "Use model=autoencoder"),
        (("data=csv", "data.target=null"), "missing-value", "model=autoencoder"),
        (("model=flow", "data=digits", "model.conditional=true", "data.anomalies=[9]"), "cannot-combine", "false"),
        (("model=autoencoder", "data=diabetes", "data.anomalies=[a]"), "incompatible-data", "data.anomalies=[]"),
    ],
)
def test_what_cannot_work_is_refused(words: tuple[str, ...], code: str, remedy: str, folder: Path) -> None:
    path = [f"data.path={folder / 'pay.csv'}"] if "data=csv" in words else []
    with pytest.raises(ConfigError) as found:
        load([*words, *path], Catalog())
    (problem,) = found.value.problems
    assert problem.code == code and remedy in problem.remedy
