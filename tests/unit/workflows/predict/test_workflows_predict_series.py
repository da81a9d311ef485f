"""Series from the command line in this process: training, evaluation and the steps after a file."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.cli.app import main

DAYS = np.arange("2024-01-01", "2024-05-30", dtype="datetime64[D]")  # 150
WORDS = (
    "model=mlp",
    *("data=series", "data.target=sales", "data.window=8", "data.horizon=3", "model.hidden=[8]", "trainer.threads=1"),
    *("trainer.epochs=2", "-q"),
)


def run(*words: str, code: int = 0) -> None:
    try:
        main(list(words))
    except SystemExit as stopped:
        assert (stopped.code or 0) == code
    else:
        assert code == 0


def written(path: Path, values: np.ndarray, days: np.ndarray = DAYS) -> Path:
    lines = [f"{day},{value}" for day, value in zip(days, values, strict=False)]
    path.write_text("\n".join(["day,sales", *lines]) + "\n")
    return path


def wave() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=len(DAYS)) / 5
    return np.round(20 + 5 * np.sin(np.arange(len(DAYS)) / 7 * 2 * np.pi) + noise, 3)


def newest() -> RunDir:
    return RunDir.find(Path("outputs/latest"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_comes_after_the_cut_changes_no_bit_of_training(folder: Path) -> None:
    later = wave()
    later[150 - 2 * 22 :] = 1e6  # val and test
    curves, weights = [], []
    for name, values in (("a", wave()), ("b", later)):
        run("train", f"data.path={written(folder / f'{name}.csv', values)}", *WORDS)
        found = newest()
        with (found / "metrics.csv").open(newline="") as file:
            curves.append([row["train/loss"] for row in csv.DictReader(file)])
        import torch

        state = torch.load(found / "checkpoints" / "last.pt", weights_only=True)
        weights.append(state["networks"])
    assert curves[0] == curves[1]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_a_forecast_continues_the_file_with_its_times(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(folder / "sales.csv", wave())
    run("train", f"data.path={path}", "loss=quantile", *WORDS)
    run("evaluate", "outputs/latest", "-q")
    new = written(folder / "new.csv", wave()[:50])
    path.unlink()  # a prediction needs nothing but the run
    capsys.readouterr()
    run("predict", "outputs/latest", str(new))
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["step"], row["time"]) for row in rows] == [
        *(("1", "2024-02-20"), ("2", "2024-02-21"), ("3", "2024-02-22"))
    ]
    for row in rows:
        assert float(row["q0.1 sales"]) <= float(row["predicted sales"]) <= float(row["q0.9 sales"])
    report = json.loads((newest() / "eval" / "test" / "report.json").read_text())
    assert report["samples"] == 22 - 3 + 1
    assert "baselines" not in report
    assert set(report["references"]) == {"naive", "seasonal_naive", "ridge"}
    assert set(report["metrics"]) >= {"mae", "rmse", "mase", "smape", "pinball"}
    assert {"forecast", "horizon_errors"} <= set(report["figures"])
    with (newest() / "eval" / "test" / "predictions.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    errors = [
        abs(float(line[f"true sales+{n}"]) - float(line[f"predicted sales+{n}"])) for line in lines for n in (1, 2, 3)
    ]
    assert np.mean(errors) == pytest.approx(report["metrics"]["mae"])


def test_the_forecast_of_the_last_test_window_is_that_of_the_evaluation(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("train", f"data.path={written(folder / 'sales.csv', wave())}", *WORDS)
    run("evaluate", "outputs/latest", "-q")
    capsys.readouterr()
    run("predict", "outputs/latest", str(written(folder / "new.csv", wave()[:147])))
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    with (newest() / "eval" / "test" / "predictions.csv").open(newline="") as file:
        *_, last = csv.DictReader(file)
    expected = [float(last[f"predicted sales+{n}"]) for n in (1, 2, 3)]
    assert [float(row["predicted sales"]) for row in rows] == pytest.approx(expected, rel=1e-5)


def test_files_that_cannot_be_continued_say_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("train", f"data.path={written(folder / 'sales.csv', wave())}", *WORDS)
    capsys.readouterr()
    run("predict", "outputs/latest", str(written(folder / "short.csv", wave()[:5])), code=3)
    assert "has 5 steps" in capsys.readouterr().out
    other = folder / "other.csv"
    other.write_text("day,amount\n2024-01-01,3\n")
    run("predict", "outputs/latest", str(other), code=3)
    assert "data.target" in capsys.readouterr().err


def test_networks_are_compared_over_stretches_of_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = f"data.path={written(folder / 'sales.csv', wave())}"
    runs = []
    for rate in ("0.001", "0.02"):
        run("train", data, *WORDS, f"optim.lr={rate}")
        runs.append(str(newest().path))
    run("evaluate", runs[0], "-q")
    run("evaluate", runs[1], "-q")
    capsys.readouterr()
    run("compare", *runs, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == 20
    (pair,) = found["pairs"]
    assert any("6 stretches of consecutive windows" in note for note in found["notes"])
    with (Path(runs[0]) / "eval" / "test" / "predictions.csv").open(newline="") as file:
        assert len({row["block"] for row in csv.DictReader(file)}) == 6
    assert pair["difference"]["about"] == "samples"


def test_a_split_of_too_few_stretches_is_compared_over_seeds_or_not_at_all(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"data.path={written(folder / 'sales.csv', wave())}"
    runs = []
    for rate in ("0.001", "0.02"):
        run("train", data, *WORDS, "data.horizon=8", f"optim.lr={rate}")
        runs.append(str(newest().path))
        run("evaluate", runs[-1], "-q")
    capsys.readouterr()
    run("compare", *runs, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"] == []
    assert "3 are required" in found["unpaired"]


def test_standard_input_is_read_as_the_file_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(folder / "a.csv", wave())
    run("train", f"data.path={path}", *WORDS)
    run("predict", "latest", str(path), "--out", "one.csv", "-q")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    run("predict", "latest", "-", "--out", "two.csv", "-q")
    assert Path("two.csv").read_text() == Path("one.csv").read_text().replace(str(path), "-")


def test_a_fault_of_standard_input_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("train", f"data.path={written(folder / 'a.csv', wave())}", *WORDS)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"day,price\n2024-01-01,1\n2024-01-02,2\n")))
    run("predict", "latest", "-", code=3)
    assert "DataError: -" in capsys.readouterr().err


def test_an_export_is_compared_on_series_of_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    lines = [f"{day},{name},{value}" for name in "abcdefghij" for day, value in zip(DAYS, wave(), strict=True)]
    (folder / "many.csv").write_text("\n".join(["day,shop,sales", *lines]) + "\n")
    run("train", "data.path=many.csv", "data.series=shop", *WORDS)
    run("export", "latest", "--samples", "many.csv")
    assert "the samples of --samples" in capsys.readouterr().out
    (folder / "one.csv").write_text("\n".join(["day,shop,sales", *lines[: len(DAYS)]]) + "\n")
    run("export", "latest", "--out", "b.onnx", "--samples", "one.csv", code=2)
    assert "at least 8 valid samples" in capsys.readouterr().err
