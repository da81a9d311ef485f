"""Networks that put out token by token, exported: run by onnxruntime in a loop of its own, equal to `dlexp predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import line_refused

from dlexp.cli.app import main
from dlexp.text.vocabulary import Vocabulary

DATA = ("data=reverse", "data.num_samples=60", "data.length=5", "data.vocabulary=5")
MODELS = {
    "seq2seq_gru": ("model=seq2seq_gru", "model.units=8", "task.teacher_forcing=1"),
    "seq2seq_lstm": ("model=seq2seq_lstm", "model.units=8", "model.attention=dot", "model.layers=2"),
    "transformer": ("model=transformer", "model.token=8", "model.heads=2", "model.blocks=1", "model.decoder_blocks=1"),
}
SHORT = ("trainer.epochs=2", "trainer.device=cpu", "data.batch_size=16", "-q", "--run-id", "run")


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert not ended.value.code


def greedy(folder: Path, texts: list[str]) -> list[str]:
    """What the two files put out, with nothing but the manifest, the vocabularies and onnxruntime."""
    runtime = pytest.importorskip("onnxruntime")
    facts = json.loads((folder / "model.json").read_text())
    encoder, step = (runtime.InferenceSession(folder / facts["parts"][name]["file"]) for name in ("encoder", "step"))
    source, target = (
        json.loads((folder / f"model.{side}.vocabulary.json").read_text()) for side in ("source", "target")
    )
    known, learned = (
        Vocabulary(one["unit"], tuple(one["tokens"]), one["definition"], one["lowercase"]) for one in (source, target)
    )
    ids = [known.encode(text) for text in texts]
    values = np.zeros((len(ids), max(map(len, ids))), dtype=np.int64)
    for row, one in enumerate(ids):
        values[row, : len(one)] = one
    names = facts["parts"]["encoder"]["outputs"]
    lengths = np.array([len(one) for one in ids])
    state = dict(zip(names, encoder.run(names, {"values": values, "lengths": lengths}), strict=True))
    tokens, found = np.full(len(ids), facts["begin"]), []
    wanted = {one.name for one in step.get_inputs()}
    for _ in range(facts["max_length"]):
        given = {"tokens": tokens, **state}
        answered: dict[str, Any] = dict(
            zip((one.name for one in step.get_outputs()),
                step.run(None, {name: value for name, value in given.items() if name in wanted}), strict=True)
        )  # fmt: skip
        tokens = answered.pop("logits").argmax(1)
        state |= {name.removeprefix("next."): value for name, value in answered.items()}
        found.append(tokens)
    return [learned.decode(row.tolist()) for row in np.stack(found, 1)]


@pytest.mark.slow  # torch's exporter takes seconds
@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize("model", MODELS)
def test_a_loop_of_onnxruntime_puts_out_what_a_prediction_does(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    run("train", *DATA, *MODELS[model], *SHORT)
    run("export", "run", "--to", "onnx")
    texts = ["1 2 3 4 1", "3", "2 2 4", "4 1"]
    capsys.readouterr()
    run("predict", "run", *(word for text in texts for word in ("--text", text)), "--json")
    expected = [row["predicted"] for row in json.loads(capsys.readouterr().out)["predictions"]]
    folder = Path("outputs/train/run/export")
    assert greedy(folder, texts) == expected
    assert [greedy(folder, [text])[0] for text in texts] == expected  # any batch and length
    facts = json.loads((folder / "model.json").read_text())
    assert facts["compared"]["largest_difference"] <= 1e-4 and facts["compared"]["batches"] == [1, 7]
    line_refused(capsys, "export", "run", "--to", "onnx", code="already-exists", where="--out", remedy="--force")
    line_refused(capsys, "export", "run", "--to", "torch-export", code="not-supported", where="--to", remedy="onnx")
    line_refused(capsys, "export", "run", "--samples", "conf", "--force", code="not-supported", where="--samples")
