"""Models of sequences through every command, on data of the user's own package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from outside_package import OWN, dlexp, installed, report_of, rows_of
from sequence_models import MODELS

from dlexp.cli.app import main

PACKAGE = """
import torch
from dlexp.data.bundle import SPLITS, DataBundle, Split
from dlexp.data.columns import column_of
from dlexp.data.preprocess import Identity
from dlexp.sequence_specs import SeriesSpec, TokenSpec
from dlexp.specs import ClassSpec, DataSpec, ValueSpec
from dlexp.types import Sequences, select

COUNT = 48
LENGTHS = torch.arange(COUNT) * 5 % 9

def bundle(spec, inputs, targets):
    rows = dict(zip(SPLITS, torch.arange(COUNT).split([32, 8, 8])))
    splits = {name: Split.in_memory(select(inputs, n), select(targets, n), n) for name, n in rows.items()}
    return DataBundle(spec, splits, Identity(), "48 samples", {})

def words():
    ids = torch.randint(1, 7, (COUNT, 8), generator=torch.Generator().manual_seed(0))
    found = Sequences(ids, LENGTHS)
    found = Sequences(ids * found.mask, LENGTHS)
    return bundle(DataSpec(TokenSpec(7, 8), ClassSpec(("few", "many"))), found, (found.values == 3).sum(1).clamp(max=1))

def steps():
    values = torch.randn(COUNT, 8, 2, generator=torch.Generator().manual_seed(0))
    found = Sequences(values, LENGTHS)
    found = Sequences(values * found.mask[..., None], LENGTHS)
    spec = DataSpec(SeriesSpec(2, 8), ValueSpec(("y",), (0.0,), (1.0,), (0.0,)))
    return bundle(spec, found, found.values[..., :1].double().sum(1))
"""
BATCHES = "batch_size: 8\neval_batch_size: 8\n"
OPTIONS = {
    "data/words": f"# Words\n{BATCHES}_target_: outside.words\n_inputs_: tokens\n_targets_: class\n",
    "data/steps": f"# Steps\n{BATCHES}_target_: outside.steps\n_inputs_: series\n_targets_: value\n",
}
TASK = {"words": [], "steps": ["task=regression", "loss=mse"]}
SHORT = (
    "trainer.epochs=2",
    "scheduler=constant",
    "data.batch_size=8",
    "trainer.device=cpu",
    "trainer.clip_norm=5",
    "-q",
)
TRUST = ("--trust", "outside")
USUAL = {("gru", "words"), ("lstm", "steps"), ("text_cnn", "words"), ("tcn", "steps"), ("lstm",), ("tcn",)}


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with installed(tmp_path, PACKAGE, OPTIONS):
        yield


def known(metrics: dict[str, float | None]) -> dict[str, float]:
    """The metrics that have a value."""
    return {name: value for name, value in metrics.items() if value is not None}


def words_of(model: str, data: str) -> list[str]:
    return [*OWN, f"model={model}", f"data={data}", *TASK[data]]


def one_of(model: str, *data: str) -> Any:
    """Each model and each kind of data at least once in every run of the tests, all pairs when exhaustive."""
    is_usual = (model, *data) in USUAL
    return pytest.param(model, *data, marks=() if is_usual else pytest.mark.exhaustive)


@pytest.mark.slow  # torch's exporters take seconds
@pytest.mark.parametrize(("model", "data"), [one_of(model, data) for model in MODELS for data in TASK])
def test_a_run_is_trained_resumed_evaluated_and_exported(model: str, data: str) -> None:
    words = words_of(model, data)
    dlexp("train", *words, *SHORT, "-o", "whole")
    dlexp("train", *words, *SHORT, "trainer.epochs=1", "-o", "part")
    dlexp("train", "--resume", "part", "trainer.epochs=2", *TRUST, "-q")
    assert rows_of("part") == rows_of("whole")
    for size in (1, 8):  # padding is to the longest of a batch
        dlexp("evaluate", "whole", *TRUST, f"data.eval_batch_size={size}")
        dlexp("evaluate", "part", *TRUST)
        metrics, others = (known(report_of(run)["metrics"]) for run in ("whole", "part"))
        assert len(metrics) > 5 and metrics == pytest.approx(others, rel=1e-5, abs=1e-6)
    for kind in ("onnx", "torch-export", "safetensors"):
        dlexp("export", "whole", "--to", kind, *TRUST)
    session = onnxruntime.InferenceSession("whole/export/model.onnx", providers=["CPUExecutionProvider"])
    assert {value.name: value.shape for value in session.get_inputs()} == {
        "values": ["batch", "length", *([2] if data == "steps" else [])],
        "lengths": ["batch"],
    }
    for rows, length in ((1, 1), (4, 3), (2, 30)):
        values = np.random.default_rng(0).integers(0, 7, (rows, length))
        if data == "steps":
            values = np.random.default_rng(0).normal(size=(rows, length, 2)).astype(np.float32)
        (found,) = session.run(None, {"values": values, "lengths": np.full(rows, length)})
        assert found.shape == (rows, 2 if data == "words" else 1) and np.isfinite(found).all()


@pytest.mark.parametrize("model", [one_of(model) for model in MODELS])
def test_a_run_is_searched_accumulated_and_verified(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = words_of(model, "words")
    dlexp("summary", *words, "trainer.clip_norm=5", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"] > 0
    dlexp("train", *words, *SHORT, "trainer.accumulate=2", "trainer.precision=bf16", "-o", "half")
    assert all(np.isfinite(value) for row in rows_of("half") for value in row.values())
    dlexp("verify", *words, *SHORT)
    with pytest.raises(SystemExit):  # so few samples seldom suffice for a suggestion
        main(["lr-find", *words, "trainer.device=cpu", "data.batch_size=8", "-q", "--steps", "30"])
    dlexp("tune", *words, *SHORT, "trainer.epochs=1", "--trials", "2")
    assert "Traceback" not in capsys.readouterr().err


def test_preprocessing_is_no_part_of_a_file_of_sequences_and_ids_have_no_sample_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    dlexp("train", *words_of("tcn", "words"), *SHORT, "-o", "run")
    dlexp("export", "run", "--to", "onnx", "--with-preprocessing", *TRUST, code=2)
    assert "Remove --with-preprocessing" in capsys.readouterr().err
    dlexp("export", "run", "--to", "onnx", "--samples", "conf", *TRUST, code=3)
    assert "no texts" in capsys.readouterr().err
