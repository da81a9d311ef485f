"""`dlexp compress --quantize`: the file, what it was calibrated on, what a run of it can do, and what is refused."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusals import line_refused
from torch import nn

from dlexp.artifacts.exports.formats import Onnx
from dlexp.cli.app import main
from dlexp.compression.onnx_network import OnnxNetwork
from dlexp.compression.quantization import quantize
from dlexp.errors import ConfigError
from dlexp.workflows.run_record.restore import RestoreOptions, restore_run

SMALL = ("trainer.device=cpu", "trainer.epochs=3", "data.batch_size=128")


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert not ended.value.code


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small convolutional network of digits."""
    place = tmp_path_factory.mktemp("runs") / "cnn"
    words = ("model=simple_cnn", "model.channels=[16,32]", "model.fc=32", "optim.lr=0.005")
    run("train", *words, *SMALL, "--run-dir", str(place), "-q")
    return place


@pytest.fixture(scope="module")
def quantized(trained: Path) -> Path:
    """The same network in whole numbers."""
    place = trained.with_name("int8")
    run("compress", str(trained), "--quantize", "int8", "--repeats", "5", "--run-dir", str(place), "-q")
    return place


def test_static_quantization_is_close_and_small(quantized: Path) -> None:
    content = json.loads((quantized / "compress.json").read_text())
    before, after = content["before"], content["after"]
    assert after["onnx_bytes"] < 0.5 * before["onnx_bytes"]  # of a tiny network much is graph
    assert after["file_bytes"] < before["file_bytes"]
    assert content["quantized_layers"] == content["layers"] == 4
    assert content["calibration_samples"] == 512
    assert content["agreement"] > 0.94
    assert content["metric"]["difference"]["low"] <= content["metric"]["difference"]["high"]
    for side in (before, after):
        assert all(side[kind]["p50_ms"] <= side[kind]["p95_ms"] for kind in ("latency", "onnx_latency", "latency_64"))
    slower = after["onnx_latency"]["p50_ms"] > before["onnx_latency"]["p50_ms"]
    assert ("first_line" in content) is slower
    assert next(iter(content)) == "first_line" or not slower


def test_a_run_of_it_evaluates_compares_and_is_copied(quantized: Path, trained: Path, tmp_path: Path) -> None:
    place = tmp_path / "int8"
    shutil.copytree(quantized, place)  # it needs neither its source nor its place
    run("evaluate", str(place))
    found = json.loads((place / "eval" / "test" / "report.json").read_text())["metrics"]["accuracy"]
    run("evaluate", str(trained))
    wanted = json.loads((trained / "eval" / "test" / "report.json").read_text())["metrics"]["accuracy"]
    assert abs(found - wanted) < 0.03
    run("compare", str(trained), str(place))
    run("export", str(place), "--out", str(tmp_path / "model.onnx"))
    session = pytest.importorskip("onnxruntime").InferenceSession(str(tmp_path / "model.onnx"))
    network = restore_run(place, RestoreOptions()).experiment.networks["model"]
    inputs = torch.randn(5, 1, 8, 8)
    (answer,) = session.run(None, {"input": inputs.numpy()})
    assert isinstance(network, OnnxNetwork)
    np.testing.assert_allclose(network(inputs).numpy(), answer)
    twin = copy.deepcopy(network)
    assert torch.equal(twin(inputs), network(inputs))


@pytest.mark.parametrize(
    "words, code, where",
    [
        (("train", "--resume", "RUN", "trainer.epochs=9"), "not-supported", "compression.onnx_bytes"),
        (("train", "--from", "RUN"), "not-supported", "compression.onnx_bytes"),
        (("compress", "RUN", "--prune", "0.5"), "not-supported", "compression.onnx_bytes"),
        (("export", "RUN", "--to", "safetensors"), "not-supported", "--to"),
        (("doctor", "RUN"), "not-supported", "compression.onnx_bytes"),
        (("explain", "RUN"), "not-supported", ""),
    ],
)
def test_what_cannot_be_done_with_it_is_refused(
    quantized: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str, where: str
) -> None:
    given = [str(quantized) if word == "RUN" else word for word in words]
    line_refused(capsys, *given, code=code, where=where, exit_code=1 if words[0] == "explain" else 2)


def test_a_chain_ends_in_whole_numbers(trained: Path, tmp_path: Path) -> None:
    words = ("--prune", "0.5", "--structured", "--quantize", "int8", "--repeats", "0")
    run("compress", str(trained), *words, "--run-dir", str(tmp_path / "chain"), "-q")
    content = json.loads((tmp_path / "chain" / "compress.json").read_text())
    assert content["after"]["parameters"] < 0.5 * content["before"]["parameters"]
    assert content["after"]["onnx_bytes"] < 0.3 * content["before"]["onnx_bytes"]
    run("evaluate", str(tmp_path / "chain"))


def onnx_of(network: nn.Module, *shape: int) -> bytes:
    return Onnx(network.eval(), torch.randn(2, *shape)).content("")


def test_dynamic_quantization_is_of_dense_layers_and_says_where_there_are_none() -> None:
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))
    found = quantize(onnx_of(dense, 32), "dynamic")
    assert (found.quantized, found.total) == (2, 2)
    network, inputs = OnnxNetwork(len(found.content), 10), torch.randn(9, 32)
    assert not network(inputs).any()  # before a file is loaded
    network.load_file(found.content)
    with torch.no_grad():
        torch.testing.assert_close(network(inputs), dense(inputs), atol=0.03, rtol=0)
    with pytest.raises(ConfigError, match="--quantize static"):
        quantize(onnx_of(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten()), 1, 8, 8), "dynamic")


def test_ranges_are_those_of_the_samples_and_weights_have_a_scale_for_each_channel() -> None:
    onnx = pytest.importorskip("onnx")
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    scales: list[dict[str, Any]] = []
    for factor in (1.0, 10.0):
        batches = [{"input": factor * torch.randn(16, 8).clamp(-1, 1).numpy()} for _ in range(4)]
        graph = onnx.load_from_string(quantize(onnx_of(dense, 8), "static", batches).content).graph
        scales.append(
            {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer if "scale" in each.name}
        )
    (name,) = (name for name in scales[0] if name.startswith("input"))
    assert scales[0][name] == pytest.approx(1 / 127, rel=0.02)
    assert scales[1][name] == pytest.approx(10 / 127, rel=0.02)
    assert {value.size for value in scales[0].values()} >= {1, 3, 16}


def test_an_onnx_network_has_no_gradients() -> None:
    network = OnnxNetwork(10, 3)
    with pytest.raises(Exception, match="no gradients"):
        network(torch.randn(2, 3, requires_grad=True))
