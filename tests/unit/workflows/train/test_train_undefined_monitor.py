"""A metric that decides and has no value: refused before the first epoch, or told at the end; no path is made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.cli.app import main
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError, NoResult
from dlexp.metrics.class_samples import ClassSamples
from dlexp.metrics.neighbors import NeighborState
from dlexp.metrics.outputs import ClassOutputs
from dlexp.metrics.regression import ValueSamples
from dlexp.metrics.undefined import undefined_of_classes, undefined_of_neighbors, undefined_of_values
from dlexp.types import Prediction
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.seeds import train_seeds
from dlexp.workflows.train.train import Request, resume, train

FEW = ("data=arrays", "data.path=a.npz", "trainer.device=cpu", "trainer.epochs=2", "model=mlp", "model.hidden=[4]")


def run(*words: str, code: int = 0) -> None:
    """Run the words, which must end with `code`."""
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
        raise SystemExit(0)
    assert (stopped.value.code or 0) == code


def arrays(y_train: Any, y_val: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(y_train), 3)).astype(np.float32)
    train_y, val_y = np.asarray(y_train), np.asarray(y_val)
    np.savez("a.npz", x_train=x, y_train=train_y, x_val=x[: len(y_val)], y_val=val_y, x_test=x, y_test=train_y)


THREE = np.arange(30) % 3


@pytest.mark.parametrize(
    ("y_val", "monitor", "reason"),
    [
        ([0, 1] * 4, "roc_auc", "no sample is of the class 2"),
        ([0, 1] * 4, "average_precision", "no sample is of the class 2"),
        ([1] * 6, "roc_auc_weighted", "every sample is of the class 1"),
        ([1] * 6, "matthews_correlation", "every sample is of the class 1"),
        ([2.5] * 5, "r2", "every sample has the same target"),
        ([2.5], "explained_variance", "it holds one sample"),
        ([2.5, 0.0, 1.0], "mape", "1 of 3 targets are 0"),
    ],
)
def test_what_can_have_no_value_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, y_val: Any, monitor: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays(np.linspace(-1, 1, 30) if isinstance(y_val[0], float) else THREE, y_val)
    words = (*FEW, f"trainer.monitor=val/{monitor}")
    for seeds in (0, 2):
        config, request = load([*words], Catalog()), Request(words, ())
        with pytest.raises(ConfigError) as found:
            if seeds:
                train_seeds(config, request, seeds, Silent())
            train(config, request, Silent())
        assert reason in str(found.value) and f"trainer.monitor=val/{monitor}" in str(found.value)
    assert not list(tmp_path.glob("outputs/train/*"))


def test_a_study_is_refused_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrays(THREE, [0, 1] * 4)
    run("tune", "-n", "2", "--name", "st", *FEW, "trainer.monitor=val/roc_auc", code=2)
    assert not Path("outputs").exists()


@pytest.mark.parametrize("seed", range(4))
def test_what_is_called_undefined_is_what_has_no_value_or_a_constant_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes, held = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    targets = rng.permutation(classes)[:held][rng.integers(min(held, classes), size=12)]
    names = tuple(f"c{n}" for n in range(classes))
    values = []
    for _ in range(4):
        outputs = [rng.normal(size=(12, classes)), np.eye(classes)[targets] * 5 + rng.normal(size=(12, classes))]
        values += [ClassSamples(ClassOutputs([o], "logits"), targets).values() for o in outputs]
    for name in values[0]:
        found = {round(each[name], 9) for each in values}
        decides = len(found) > 1 and not any(np.isnan(value) for value in found)
        # Of one class they are undefined only for some predictions.
        assert bool(undefined_of_classes(name, torch.from_numpy(targets), names)) <= (not decides or held == 1), name
        if any(np.isnan(value) for value in found):
            assert undefined_of_classes(name, torch.from_numpy(targets), names), name


@pytest.mark.parametrize("targets", [[[1.0]], [[1.0], [1.0]], [[0.0], [2.0]], [[1.0, 1.0], [1.0, 3.0]]])
def test_values_are_called_undefined_where_they_are(targets: list[list[float]]) -> None:
    true = np.asarray(targets)
    found = [ValueSamples(true + n, true) for n in (0.5, 0.25)]
    for name in ("r2", "explained_variance", "mape", "mae", "rmse"):
        first, second = (each.chosen([name])[name] for each in found)
        constant = len({tuple(row) for row in targets}) == 1 and name in ("r2", "explained_variance")
        expected = bool(np.isnan(first) or np.isnan(second) or constant)
        assert bool(undefined_of_values(name, torch.from_numpy(true))) == expected, name


@pytest.mark.parametrize("targets", [[0, 1, 2], [0, 0, 0], [0, 0, 1]])
def test_neighbors_are_called_undefined_where_no_embedding_decides(targets: list[int]) -> None:
    numbers = torch.tensor(targets)
    found = []
    for seed in range(6):
        state = NeighborState(3, 1)
        points = torch.randn(3, 2, generator=torch.Generator().manual_seed(seed))
        state.update(Prediction(points, numbers, torch.tensor(0.0), torch.arange(3)))
        found.append(state.compute())
    for name in ("recall_at_1", "same_distance", "other_distance"):
        if len({each[name] for each in found}) > 1:
            assert not undefined_of_neighbors(name, numbers)
        elif found[0][name] == 0:
            assert undefined_of_neighbors(name, numbers)


def test_what_becomes_undefined_ends_without_a_best_epoch_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays(THREE, THREE[:9])
    monkeypatch.setattr(ClassSamples, "chosen", lambda self, names: dict.fromkeys(names, float("nan")))
    words = (*FEW, "trainer.monitor=val/roc_auc", "trainer.test=true", "scheduler=plateau")
    config, said = load([*words], Catalog()), []

    class Heard(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    folder = tmp_path / "run"
    with pytest.raises(NoResult) as found:
        train(config, Request(words, (), folder), Heard())
    refused(found.value, "no-result", "val/roc_auc", f"dlexp evaluate {folder} --checkpoint last")
    assert [text for text in said if "val/roc_auc" in text and "nan" in text and "epoch 1" in text]
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("failed", 5)
    assert not (folder / "summary.json").exists()
    assert not (folder / "checkpoints" / "best.pt").exists()
    assert not (folder / "eval").exists()
    with pytest.raises(NoResult):
        resume(RunDir.find(folder), config, (), Silent())
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    run("evaluate", str(folder), "--checkpoint", "last", "--resamples", "0")


def test_a_summary_prints_the_files_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays(THREE, THREE[:9])
    run("train", *FEW, "--run-dir", "run")
    assert "best.pt" in capsys.readouterr().out
    for name in ("checkpoints/best.pt", "plots/curves.png"):
        (tmp_path / "run" / name).unlink()
    run("train", "--resume", "run")
    shown = capsys.readouterr().out
    assert "metrics.csv" in shown
    assert "best.pt" not in shown and "curves.png" not in shown
