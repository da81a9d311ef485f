"""Values keep their digits from the file to the answer: of any size, and however far they lie from 0."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from refusals import refused
from sklearn.metrics import r2_score
from typed_specs import values_of

from dlexp.artifacts.files.writing import read_object
from dlexp.cli.app import main
from dlexp.data.columns import tensor_of
from dlexp.data.sources.arrays import arrays
from dlexp.types import as_tensor
from dlexp.workflows.evaluate.evaluate import evaluate_run
from dlexp.workflows.run_record.restore import RestoreOptions, restore_run

Array = NDArray[Any]

_RNG = np.random.default_rng(0)
_X = _RNG.normal(size=(400, 2))
_Y = 20 * (_X[:, 0] + 0.5 * _X[:, 1]) + _RNG.normal(size=400)
UNITS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {  # of the features, of the target
    "seconds since 1970": (lambda x: 1_700_000_000 + 20 * x, lambda y: y + 1_700_000_000),
    "tiny": (lambda x: x * 1e-13, lambda y: y * 1e-14),
    "huge": (lambda x: x * 1e200, lambda y: y * 1e250),
}


def run(*words: str) -> None:
    try:
        main(list(words))
    except SystemExit as stopped:
        assert not stopped.code, words


def write(name: str, x: Array, y: Array) -> None:
    lines = [",".join(map(repr, row)) for row in np.column_stack([x, y]).tolist()]
    Path(name).write_text("\n".join(["a,b,y", *lines]) + "\n")


def table(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


@pytest.fixture(autouse=True)
def here(own_folder: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


TRAIN = ("train", "data=csv", "data.target=y", "model=mlp", "model.hidden=[16]", "optim.lr=0.02", "-q")


@pytest.mark.parametrize("unit", UNITS)
def test_a_table_is_learned_in_any_unit(unit: str, capsys: pytest.CaptureFixture[str]) -> None:
    of_x, of_y = UNITS[unit]
    x, y = of_x(_X), of_y(_Y)
    write("t.csv", x, y)
    run(*TRAIN, "data.path=t.csv", "trainer.epochs=12", "trainer.test=true", "--run-dir", "r")
    report, predictions = read_object(Path("r/eval/test/report.json")), table(Path("r/eval/test/predictions.csv"))
    rows = [int(row) for row in predictions["row"]]
    true, predicted = ([float(cell) for cell in predictions[f"{kind} y"]] for kind in ("true", "predicted"))
    assert true == y[rows].tolist()  # to the last digit
    back = 1 / (np.abs(y - y.mean()).max())
    expected = r2_score((np.array(true) - y.mean()) * back, (np.array(predicted) - y.mean()) * back)
    assert expected > 0.98  # 0.998 of the variance can be told
    for found in (report["metrics"]["r2"], report["metrics"]["explained_variance"]):
        assert found == pytest.approx(expected, abs=0.005)
    assert report["metrics"]["r2"] == pytest.approx(expected, rel=1e-6)
    write("new.csv", x[rows], y[rows])
    capsys.readouterr()
    run("predict", "r", "new.csv", "--json")
    answers = [row["predicted y"] for row in json.loads(capsys.readouterr().out)["predictions"]]
    assert (np.array(answers) - y.mean()) * back == pytest.approx((np.array(predicted) - y.mean()) * back, abs=1e-6)


def test_a_pipeline_of_quantiles_answers_any_batch_as_the_run_does() -> None:
    pytest.importorskip("onnxruntime")
    import onnxruntime

    x = 1_700_000_000 + 20 * _X[:120]
    write("t.csv", x, 1_700_000_000 + _Y[:120])
    run(*TRAIN, "data.path=t.csv", "loss=quantile", "trainer.epochs=2", "--run-dir", "r")
    run("export", "r", "--with-preprocessing", "--out", "m.onnx")
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    stored = restore_run(Path("r"), RestoreOptions())
    spec, task = stored.experiment.bundle.spec, stored.experiment.task
    mean, std = values_of(spec).mean[0], values_of(spec).std[0]
    stored.experiment.networks.eval()
    for size in (1, 2, 7):
        columns = stored.preprocessing["columns"]
        ready = np.stack([(x[:size, n] - c["mean"]) / c["std"] for n, c in enumerate(columns)], axis=1)
        with torch.inference_mode():
            batch = stored.unlabeled(torch.from_numpy(ready).float())
            expected = task.predict(dict(stored.experiment.networks.items()), batch).outputs
        assert expected.dtype == torch.float64 and expected.shape == (size, 1)
        found = torch.from_numpy(session.run(None, {"input": x[:size]})[0])
        torch.testing.assert_close((found - mean) / std, (expected - mean) / std, rtol=0, atol=1e-5)


def test_an_export_that_differs_by_a_deviation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    write("t.csv", _X[:120], _Y[:120] * 1e-14)
    run(*TRAIN, "data.path=t.csv", "trainer.epochs=1", "--run-dir", "r")
    from dlexp.artifacts.exports.formats import Program
    from dlexp.errors import DlexpError
    from dlexp.workflows.export.export import ExportRequest, export_run

    right = Program.answer
    monkeypatch.setattr(Program, "answer", lambda *given: right(*given) + 1e-15)
    with pytest.raises(DlexpError) as error:
        export_run(
            Path("r"), ExportRequest("torch-export", with_preprocessing=True), RestoreOptions(), lambda text: None
        )
    refused(error.value, "incompatible-weights")


def test_other_data_are_judged_in_the_unit_of_training() -> None:
    write("one.csv", _X[:200], 100 + _Y[:200])
    write("two.csv", _X[:200], 5000 + 3 * _Y[:200])
    run(*TRAIN, "model.norm=batch", "data.path=one.csv", "trainer.epochs=1", "--run-dir", "r")
    before = restore_run(Path("r"), RestoreOptions()).experiment.bundle.spec
    run("adapt", "r", "data.path=two.csv", "--run-dir", "a")
    after = restore_run(Path("a"), RestoreOptions()).experiment.bundle.spec
    assert (values_of(after).mean, values_of(after).std) == (values_of(before).mean, values_of(before).std)
    evaluate_run(Path("a"), "test", "best", {}, ())
    predicted = np.array(table(Path("a/eval/test/predictions.csv"))["predicted y"], dtype=np.float64)
    assert np.abs(predicted - 100).max() < 1000  # and not around 5000, where the labels of the other data lie


@pytest.mark.parametrize("unit", ["far", "small", "large"])
def test_images_of_numbers_keep_their_deviation(unit: str) -> None:
    drawn = np.random.default_rng(1).normal(size=(60, 2, 3, 3))
    images = {"far": 1e9 + drawn, "small": 1e-42 * drawn, "large": 1e200 * drawn}[unit]
    labels = (drawn[:, 0].mean(axis=(1, 2)) > 0).astype(int)
    np.savez("i.npz", x=images, y=labels)
    bundle = arrays(path="i.npz", layout="channels_first")
    split = bundle.splits["train"]
    found = as_tensor(bundle.preprocess(tensor_of(split.inputs))).double().numpy()
    learned = images[split.indices]
    size = float(np.abs(learned).max()) if unit != "far" else 1.0
    shown = (learned - (1e9 if unit == "far" else 0.0)) / size
    middle = shown.mean(axis=(0, 2, 3), keepdims=True)
    expected = (shown - middle) / shown.std(axis=(0, 2, 3), keepdims=True)
    assert found == pytest.approx(expected, abs=1e-5)
    given = arrays(path="i.npz", layout="channels_first", mean=[1e9, 1e9], std=[2.0, 2.0]) if unit == "far" else None
    if given is not None:
        halved = as_tensor(given.preprocess(tensor_of(given.splits["train"].inputs))).double().numpy()
        assert halved == pytest.approx((learned - 1e9) / 2, abs=1e-5)


def test_a_run_on_such_images_predicts_and_exports_them(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    import onnxruntime

    images = 1e9 + np.random.default_rng(1).normal(size=(60, 3, 3))
    np.savez("i.npz", x=images, y=(images.mean(axis=(1, 2)) > 1e9).astype(int))
    run("train", "data=arrays", "data.path=i.npz", "model=mlp", "trainer.epochs=3", "-q", "--run-dir", "r")
    np.save("new.npy", images[:7])
    capsys.readouterr()
    run("predict", "r", "new.npy", "--probabilities", "--json")
    expected = [[row["p(0)"], row["p(1)"]] for row in json.loads(capsys.readouterr().out)["predictions"]]
    assert np.std(expected) > 0.01
    run("export", "r", "--with-preprocessing", "--out", "m.onnx")
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {"input": images[:7, None]})[0]
    assert found.tolist() == [pytest.approx(row, abs=1e-5) for row in expected]


def test_a_channel_of_one_value_is_not_standardized_by_its_rounding() -> None:
    drawn = np.random.default_rng(1).normal(size=(60, 1, 3, 3))
    np.savez("i.npz", x=np.concatenate([drawn, np.full_like(drawn, 0.1)], axis=1).astype(np.float32), y=[0, 1] * 30)
    bundle = arrays(path="i.npz", layout="channels_first")
    found = as_tensor(bundle.preprocess(tensor_of(bundle.splits["train"].inputs)))
    assert bundle.preprocessing["std"][1] == 0 and float(found[:, 1].abs().max()) < 1e-6
