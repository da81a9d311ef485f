"""Networks of sequences in NumPy through the commands of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from outside_package import dlexp, report_of, rows_of

DATA = ("data=adding", "data.num_samples=150", "data.length=6", "data.batch_size=32", "trainer.device=cpu")
LAYERS = {"numpy_lstm": {"layers.0.ahead.layer", "output"}, "numpy_transformer": {"head", "stack.layers.1.ffn.expand"}}


@pytest.mark.slow
@pytest.mark.parametrize("model", LAYERS)
def test_a_run_is_resumed_evaluated_inspected_and_exported(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [f"model={model}", *DATA, "scheduler=constant", "trainer.epochs=2", "model.dropout=0.2", "-q"]
    dlexp("train", *words, "-o", "whole")
    dlexp("train", *words, "trainer.epochs=1", "-o", "part")
    dlexp("train", "--resume", "part", "trainer.epochs=2", "-q")
    assert rows_of("part") == rows_of("whole")
    dlexp("evaluate", "whole", "-q")
    report = report_of("whole")
    assert report["metrics"]["rmse"] > 0
    dlexp("inspect", "whole", "--activations", "--embeddings")
    found = json.loads(Path("whole/inspect/inspect.json").read_text())
    assert found["activations"]["layers"].keys() >= LAYERS[model]
    assert found["embeddings"]["layer"] in ("output", "head")
    dlexp("export", "whole", "--to", "torch-export")  # compares the outputs
    if model == "numpy_lstm":
        assert "gradient_through_time" in json.dumps(report)
