"""`dlexp export`: files that answer as the run does, read by the programs that they are meant for."""

from __future__ import annotations

import builtins
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from refusals import line_refused
from torch import Tensor, nn

from dlexp.artifacts.exports.formats import FORMATS, Onnx
from dlexp.cli.app import main
from dlexp.data.columns import tensor_of
from dlexp.data.sources.sklearn_sets import digits
from dlexp.errors import DlexpError
from dlexp.models.convnet import simple_cnn
from dlexp.models.ft_transformer import ft_transformer
from dlexp.models.resnet import resnet18
from dlexp.models.tabular import neural_ode, wide_deep
from dlexp.specs import ImageSpec
from dlexp.workflows.export.export import _random
from dlexp.workflows.run_record.restore import RestoreOptions, restore_run

SMALL = ("trainer.epochs=1", "-q", "--run-id")


def run(*words: str, code: int = 0) -> None:
    """Run the words, which must end with `code`."""
    try:
        main(list(words))
    except SystemExit as stopped:
        assert (stopped.code or 0) == code
    else:
        assert code == 0


def write_table() -> None:
    rng = np.random.default_rng(0)
    lines = [f"{rng.normal(50, 9):.2f},{rng.choice(['a', 'b', 'c'])},{rng.normal(900, 99):.2f}" for _ in range(60)]
    Path("t.csv").write_text("\n".join(["x,c,y", *lines]) + "\n")


TABLE = ("data=csv", "data.path=t.csv", "data.target=y")
CASES = {
    "mlp": ("data=digits", "model=mlp", "model.hidden=[8]", "regularization=ema"),
    "tabular_mlp": ("model=tabular_mlp", "model.hidden=[8]", *TABLE),
}
IMAGE: dict[str, Any] = {"input_shape": (3, 16, 16), "num_outputs": 3}
ROW: dict[str, Any] = {"input_shape": (5,), "num_outputs": 2, "categorical": ((2, 3),)}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "simple_cnn": lambda: simple_cnn(**IMAGE, channels=[4], fc=8),
    "resnet18": lambda: resnet18(**IMAGE),
    "wide_deep": lambda: wide_deep(**ROW, hidden=[8]),
    "ft_transformer": lambda: ft_transformer(**ROW, token=16, blocks=2, heads=4),
    "neural_ode": lambda: neural_ode(**ROW, state=8, steps=2),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run of each case; it is named after its model."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_table()
        for name, words in CASES.items():
            run("train", *words, *SMALL, name)
    return folder


@pytest.fixture(autouse=True)
def here(home: Path, own_folder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def facts_in(path: Path) -> dict[str, Any]:
    """The facts in the metadata of an ONNX file."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    found: dict[str, Any] = json.loads({entry.key: entry.value for entry in model.metadata_props}["dlexp"])
    return found


def by_onnxruntime(path: Path, inputs: Tensor) -> Tensor:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"input": inputs.numpy()})[0])


@pytest.mark.parametrize("model", CASES)
def test_an_onnx_file_answers_as_the_run_does(model: str) -> None:
    pytest.importorskip("onnxruntime")
    run("export", model, "--to", "onnx")
    path = Path(f"outputs/train/{model}/export/model.onnx")
    facts, stored = facts_in(path), restore_run(Path("outputs/train", model), RestoreOptions())
    spec = stored.experiment.bundle.spec
    network = stored.experiment.networks["model"].eval()
    assert facts["compared"]["largest_difference"] <= 1e-4 * (1 + facts["compared"]["largest_output"])
    assert facts["run"] == model and facts["input"]["shape"] == ["batch", *spec.inputs.shape]
    assert facts["preprocessing"]["preprocess"] == stored.preprocessing["preprocess"]
    for size in (1, 7):
        inputs = torch.randn(size, *spec.inputs.shape, generator=torch.Generator().manual_seed(size))
        with torch.inference_mode():
            expected = network(inputs)
        assert expected.abs().max() > 0
        torch.testing.assert_close(by_onnxruntime(path, inputs), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_every_kind_answer_the_same_from_an_onnx_file(name: str, tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    source = torch.Generator().manual_seed(3)
    network = NETWORKS[name]().eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # as after training, not 0 and 1
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.copy_(torch.randn(module.num_features, generator=source) / 5)
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=source))
    shape = (IMAGE if name in ("simple_cnn", "resnet18") else ROW)["input_shape"]
    made = Onnx(network, torch.randn(7, *shape, generator=source))
    content = made.content("{}")
    for size in (1, 7, 2):
        inputs = torch.randn(size, *shape, generator=source)
        with torch.inference_mode():
            expected = network(inputs)
        assert expected.shape == (size, 3 if shape == (3, 16, 16) else 2) and expected.abs().max() > 0
        torch.testing.assert_close(made.answer(content, inputs), expected, rtol=1e-4, atol=1e-5)
    file, small = tmp_path / "whole.onnx", tmp_path / "small.onnx"
    file.write_bytes(content)
    quantization.quantize_dynamic(str(file), str(small))
    assert (by_onnxruntime(small, inputs) - expected).abs().max() <= 0.05 * (1 + expected.abs().max())


def test_no_file_of_this_machine_is_named_in_an_exported_one() -> None:
    pytest.importorskip("onnxruntime")
    run("export", "mlp", "--to", "onnx", "--out", "a.onnx")
    run("export", "mlp", "--to", "torch-export", "--out", "a.pt2")
    for name in ("a.onnx", "a.pt2"):
        content = Path(name).read_bytes()
        for place in (str(Path.cwd()), str(Path(torch.__file__).parent), "site-packages", "/dlexp/models"):
            assert place.encode() not in content, (name, place)


@pytest.mark.parametrize("to", ["onnx", "torch-export"])
def test_with_preprocessing_raw_pixels_go_in_and_probabilities_come_out(
    to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    split = digits().splits["test"]
    np.save("raw.npy", tensor_of(split.inputs).numpy())
    capsys.readouterr()
    run("predict", "mlp", "raw.npy", "--probabilities", "--json")
    rows = json.loads(capsys.readouterr().out)["predictions"]
    expected = torch.tensor([[row[f"p({name})"] for name in range(10)] for row in rows])
    run("export", "mlp", "--to", to, "--with-preprocessing", "--samples", "raw.npy", "--out", f"whole.{to}", "--json")
    content = json.loads(capsys.readouterr().out)
    assert content["input"] == {"name": "input", "shape": ["batch", 1, 8, 8], "dtype": "uint8", "layout": "NCHW"}
    assert content["output"]["what"] == "probabilities of the classes" and content["classes"] == list("0123456789")
    assert sum(content["compared"]["batches"]) == len(split) and content["compared"]["on"] == "the samples of --samples"
    if to == "onnx":
        found = by_onnxruntime(Path(f"whole.{to}"), tensor_of(split.inputs))
    else:
        found = torch.export.load(io.BytesIO(Path(f"whole.{to}").read_bytes())).module()(tensor_of(split.inputs))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_with_preprocessing_a_table_takes_raw_numbers_and_gives_values(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    run("export", "tabular_mlp", "--with-preprocessing", "--out", "table.onnx")
    Path("few.csv").write_text("x,c\n44.5,b\n,a\n60,other\n")
    capsys.readouterr()
    run("predict", "tabular_mlp", "few.csv", "--json")
    expected = [row["predicted y"] for row in json.loads(capsys.readouterr().out)["predictions"]]
    rows = [[44.5, 0, 1, 0], [np.nan, 1, 0, 0], [60, 0, 0, 0]]
    found = by_onnxruntime(Path("table.onnx"), torch.tensor(rows, dtype=torch.float64))
    assert found[:, 0].tolist() == pytest.approx(expected, rel=1e-5)
    run("export", "tabular_mlp", "--with-preprocessing", "--samples", "few.csv", "--out", "b.onnx", code=2)


def test_safetensors_hold_the_judged_weights_and_the_facts(capsys: pytest.CaptureFixture[str]) -> None:
    library = pytest.importorskip("safetensors")
    run("export", "mlp", "--to", "safetensors", "--checkpoint", "last")
    stored = restore_run(Path("outputs/train/mlp"), RestoreOptions("last"))
    with library.safe_open("outputs/train/mlp/export/model.safetensors", "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        facts = json.loads(file.metadata()["dlexp"])
    expected = stored.experiment.networks["model"].state_dict()
    assert weights.keys() == expected.keys() and all(torch.equal(weights[n], expected[n]) for n in expected)
    assert facts["checkpoint"] == "last" and len(facts["weights_sha256"]) == 64


class Fixed(nn.Module):
    """Adds a constant, or the number of samples in the batch as it was when it was traced."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([shift]))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


class Squared(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ torch.ones(x.shape[1], 3) @ torch.ones(3, 7 if x.shape[0] == 7 else 5)


def test_a_network_that_depends_on_the_batch_size_is_refused() -> None:
    with pytest.raises(DlexpError, match="batch"):
        FORMATS["torch-export"][1](Squared(), torch.zeros(7, 2))


def test_a_file_that_answers_otherwise_is_not_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("safetensors")

    def wrong(self: Any, content: bytes, inputs: Tensor) -> Tensor:
        answers: Tensor = self._network(inputs)
        return answers + 1e-3

    monkeypatch.setattr("dlexp.artifacts.exports.formats.Safetensors.answer", wrong)
    words = ("export", "mlp", "--to", "safetensors", "--out", "otherwise.safetensors")
    error = line_refused(capsys, *words, code="incompatible-weights", exit_code=1)
    assert "0.001" in error["message"] and not Path("otherwise.safetensors").exists()
    run(*words, "--tolerance", "0.1")
    assert Path("otherwise.safetensors").exists()


def test_refusals_name_the_remedy(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("safetensors")
    run("export", "mlp", "--to", "safetensors", "--out", "a.safetensors")
    line_refused(capsys, "export", "mlp", "--to", "onx", code="unknown-value", where="--to", remedy="onnx?")
    words = ("export", "mlp", "--to", "safetensors", "--out", "a.safetensors")
    line_refused(capsys, *words, code="already-exists", where="--out", remedy="--force")
    run("export", "nowhere", code=2)
    assert "nowhere" in capsys.readouterr().err
    run("export", "mlp", "--to", "safetensors", "--out", "a.safetensors", "--force")
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.split(".")[0] in ("onnxruntime", "safetensors"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    for to in ("onnx", "safetensors"):
        run("export", "mlp", "--to", to, "--out", "never", code=2)
        assert f"pip install 'dlexp[{to}]'" in capsys.readouterr().err


def test_the_free_axis_is_called_batch() -> None:
    pytest.importorskip("onnxruntime")
    made = Onnx(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval(), torch.zeros(7, 1, 2, 2))
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(io.BytesIO(made.content("{}"))).graph
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.input, *graph.output)] == ["batch"] * 2
    assert made.opset >= 18


def test_random_pixels_are_in_the_range_of_the_network() -> None:
    bundle = SimpleNamespace(spec=SimpleNamespace(inputs=ImageSpec(1, 4, 4, (0.0, 1.0), 17)))
    stored: Any = SimpleNamespace(experiment=SimpleNamespace(bundle=bundle), preprocessing={})
    found = _random(stored, 50, torch.Generator().manual_seed(0), raw=False)
    assert found.shape == (50, 1, 4, 4)
    assert 0 <= found.min() < 0.1 and 0.9 < found.max() <= 1


def test_an_operation_that_onnx_lacks_is_named() -> None:
    class Bins(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.searchsorted(x[0].sort().values, x).float()

    with pytest.raises(DlexpError, match=r"nothing like aten\.searchsorted\. Use --to torch-export"):
        Onnx(Bins(), torch.randn(3, 4))
