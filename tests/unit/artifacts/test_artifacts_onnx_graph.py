"""Exported files under the tools of others: ONNX's checker and shape inference, ONNX Runtime's quantize_dynamic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dlexp.artifacts.exports.formats import Onnx
from dlexp.models.mlp import mlp

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
quantize_dynamic = pytest.importorskip("onnxruntime.quantization").quantize_dynamic


class Twice(nn.Module):
    """One square weight, which two products read transposed and, when `is_looked_up`, a lookup as it is."""

    def __init__(self, is_looked_up: bool) -> None:
        super().__init__()
        self.layer, self.is_looked_up = nn.Linear(5, 5), is_looked_up

    def forward(self, x: Tensor) -> Tensor:
        rows = self.layer.weight[x.abs().long() % 5].sum(1) if self.is_looked_up else x
        found: Tensor = self.layer(self.layer(rows).relu())
        return found


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: mlp(input_shape=(5,), num_outputs=2, hidden=[8]),
    "shared weight": lambda: Twice(is_looked_up=False),
    "shared and looked up": lambda: Twice(is_looked_up=True),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_file_is_checked_quantized_and_still_answers(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]().train()  # written as for evaluation, whatever its mode
    inputs = torch.randn(7, 5)
    with torch.no_grad():
        expected = network.eval()(inputs)
    file, small = tmp_path / "network.onnx", tmp_path / "quantized.onnx"
    file.write_bytes(Onnx(network, inputs).content('{"classes": ["a"]}'))
    assert list(tmp_path.iterdir()) == [file]  # no second file with the weights
    model = onnx.load(str(file))
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    assert inferred.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    weights = {weight.name for weight in model.graph.initializer}
    assert weights
    assert not weights & {value.name for value in model.graph.value_info}
    quantize_dynamic(str(file), str(small))
    kept = {entry.key: entry.value for entry in onnx.load(str(small)).metadata_props}
    assert kept["dlexp"] == '{"classes": ["a"]}'
    for path, allowed in ((file, 1e-5), (small, 0.05)):
        for size in (7, 1):
            session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            found = torch.from_numpy(session.run(None, {"input": inputs[:size].numpy()})[0])
            assert (found - expected[:size]).abs().max() <= allowed * (1 + expected.abs().max())
