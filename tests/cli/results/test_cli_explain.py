"""`dlexp explain` from the command line: files, checks, the page, and the mistakes that people make."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusals import line_refused

from dlexp.cli.app import main


def typed(*words: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert not stopped.value.code, words


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    typed("explain", *words, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network of images, and one of a table in which only color and size tell y."""
    place = tmp_path_factory.mktemp("explained")
    model = ("model=simple_cnn", "model.channels=[8,8]", "model.fc=16")
    typed("train", *model, "trainer.epochs=2", "trainer.device=cpu", "-o", str(place / "digits"))
    drawn, lines = np.random.default_rng(0), ["color,noise,size,y"]
    for _ in range(240):
        color, noise, size = drawn.choice(["red", "green", "blue"]), drawn.normal(), drawn.normal()
        lines.append(f"{color},{noise:.4f},{size:.4f},{3 * size + {'red': 4, 'green': 0, 'blue': -4}[color]:.4f}")
    (place / "mixed.csv").write_text("\n".join(lines) + "\n")
    data = ("data=csv", f"data.path={place / 'mixed.csv'}", "data.target=y", "model=mlp", "model.hidden=[32]")
    typed("train", *data, "trainer.epochs=60", "trainer.device=cpu", "-o", str(place / "mixed"))
    return place


@pytest.fixture
def digits(trained: Path, tmp_path: Path) -> str:
    return str(shutil.copytree(trained / "digits", tmp_path / "digits"))


@pytest.fixture
def mixed(trained: Path, tmp_path: Path) -> str:
    return str(shutil.copytree(trained / "mixed", tmp_path / "mixed"))


@pytest.mark.pictures
def test_worst_samples_are_explained_checked_and_on_the_page(digits: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = explained(capsys, digits, "--method", "integrated_gradients", "--count", "3", "--checks", "20")
    folder = Path(digits) / "explain" / "integrated_gradients"
    assert json.loads((folder / "explain.json").read_text())["samples"] == found["samples"]
    values = np.load(folder / "attributions.npy")
    assert values.shape == (3, 1, 8, 8) and found["shape"] == [3, 1, 8, 8]
    for sample, value in zip(found["samples"], values, strict=True):
        change = sample["score"] - sample["score_of_baseline"]
        assert float(value.sum()) == pytest.approx(change, abs=0.05 * abs(change) + 1e-3)
        assert sample["completeness_error"] == pytest.approx(float(value.sum()) - change, abs=1e-3)
    assert found["checks"]["samples"] == 20 and found["worst_mistakes"]
    assert {"mean", "low", "high", "samples"} == set(found["checks"]["deletion"]["advantage"])
    assert len(found["checks"]["insertion"]["method"]) == 11
    for name in ("explanations", "checks"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (Path(digits) / "eval" / "split_accesses.jsonl").read_text().count('"val"') == 1
    typed("report", digits)
    page = (Path(digits) / "report.html").read_text()
    assert "Explanations" in page and "integrated_gradients" in page
    assert "cannot be read" not in page


def test_chosen_rows_and_classes_are_explained(digits: str, capsys: pytest.CaptureFixture[str]) -> None:
    worst = explained(capsys, digits, "--count", "2", "--checks", "0")
    rows = [str(sample["row"]) for sample in worst["samples"]]
    capsys.readouterr()
    found = explained(capsys, digits, *rows, "--target", "7", "--checks", "0", "trainer.device=cpu")
    assert [sample["row"] for sample in found["samples"]] == [int(row) for row in rows]
    assert {sample["explained"] for sample in found["samples"]} == {"7"}
    assert found["checks"] is None and not found["worst_mistakes"] and found["baseline"] == "mean"
    typed("explain", digits, rows[0], "--method", "gradcam", "--checks", "0")
    told = capsys.readouterr().out
    assert "not checked" in told and "explain/gradcam/explain.json" in told


def test_mistakes_of_the_line_are_told_together(digits: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("explain", digits, "--method", "gradcan", "--split", "vall", "--count", "99")
    line_refused(capsys, *line, code="unknown-value", where="--method", remedy="gradcam")
    line_refused(capsys, *line, code="unknown-value", where="--split", remedy="val")
    line_refused(capsys, *line, code="too-large", where="--count")
    line_refused(capsys, "explain", digits, "99999", code="not-found", where="ROW")
    line_refused(capsys, "explain", digits, "first", code="invalid-type", where="ROW")
    line_refused(capsys, "explain", digits, "--target", "eleven", code="unknown-value", where="--target")


def test_a_row_of_another_split_is_refused_with_that_split(digits: str, capsys: pytest.CaptureFixture[str]) -> None:
    row = explained(capsys, digits, "--split", "train", "--count", "1", "--checks", "0")["samples"][0]["row"]
    line_refused(capsys, "explain", digits, str(row), code="not-found", where="ROW", remedy="--split train")


@pytest.mark.pictures
def test_columns_of_a_table_by_shuffling_and_by_shapley_values(mixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = explained(capsys, mixed, "--method", "permutation")
    assert [each["columns"] for each in found["importances"]][2] == ["noise"]
    assert all(each["low"] > 0 for each in found["importances"][:2])
    assert found["loss"] == "absolute error of y"
    rows = (Path(mixed) / "explain" / "permutation" / "importances.csv").read_text().splitlines()
    assert rows[0] == "column,increase,low,high" and len(rows) == 4
    shares = explained(capsys, mixed, "--method", "shapley", "--count", "4", "--checks", "30")
    values = np.load(Path(mixed) / "explain" / "shapley" / "attributions.npy")
    assert values.shape[0] == 4
    for sample, value in zip(shares["samples"], values, strict=True):
        assert float(value.sum()) == pytest.approx(sample["score"] - sample["score_of_baseline"], abs=1e-3)
        assert sample["score"] == pytest.approx(sample["predicted"], abs=1e-4)
    typed("explain", mixed, "--method", "permutation")
    assert "95 % interval" in capsys.readouterr().out
    typed("report", mixed)
    assert "when a column is shuffled" in (Path(mixed) / "report.html").read_text()


def test_a_method_that_cannot_explain_names_one_that_can(
    mixed: str, digits: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for run, method, remedy in (
        (mixed, "gradcam", "--method integrated_gradients"),
        (mixed, "attention", "--method occlusion"),
        (digits, "permutation", "--method occlusion"),
        (digits, "shapley", "--method integrated_gradients"),
    ):
        line = ("explain", run, "--method", method, "--checks", "0")
        line_refused(capsys, *line, code="not-supported", remedy=remedy, exit_code=1)


def test_nothing_of_the_run_changes(digits: str, capsys: pytest.CaptureFixture[str]) -> None:
    best = Path(digits) / "checkpoints" / "best.pt"
    before = best.read_bytes()
    first = explained(capsys, digits, "--method", "smoothgrad", "--count", "2", "--checks", "0")
    drawn = np.load(Path(digits) / "explain" / "smoothgrad" / "attributions.npy")
    torch.manual_seed(123)
    second = explained(capsys, digits, "--method", "smoothgrad", "--count", "1", "--checks", "0")
    again = np.load(Path(digits) / "explain" / "smoothgrad" / "attributions.npy")
    assert best.read_bytes() == before
    assert first["samples"][0]["row"] == second["samples"][0]["row"]
    assert np.allclose(drawn[:1], again, atol=1e-6)
