#!/usr/bin/env bash
# onnxruntime 1.31.1: quantize_dynamic computes another function where two Gemm nodes share a transposed weight.
#
# Expected  A weight that two nodes Gemm(transB=1) read, as tied layers are exported, is quantized once, and the
#           quantized file answers what the original does, within the rounding of 8 bits.
# Real      The weight is transposed in place once for each node that reads it. With two readers it is transposed
#           twice, so the file computes x @ w @ w where the original computes x @ w.T @ w.T. Nothing is said.
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet onnxruntime==1.31.1 onnx==1.23.2 numpy
venv/bin/python - <<'PY'
import logging
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

logging.disable(logging.WARNING)  # the advice to preprocess, which every file gets
weight = np.triu(np.random.default_rng(0).normal(size=(8, 8))).astype(np.float32)
nodes = [
    helper.make_node("Gemm", ["x", "w"], ["y"], transB=1),
    helper.make_node("Gemm", ["y", "w"], ["z"], transB=1),
]
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8]) for name in "xz"]
graph = helper.make_graph(nodes, "shared", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "shared.onnx")
quantize_dynamic("shared.onnx", "quantized.onnx")
x = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
original, quantized = (
    onnxruntime.InferenceSession(file).run(None, {"x": x})[0] for file in ("shared.onnx", "quantized.onnx")
)
errors = {
    "original  against x @ w.T @ w.T": np.abs(original - x @ weight.T @ weight.T).max(),
    "quantized against x @ w.T @ w.T": np.abs(quantized - original).max(),
    "quantized against x @ w @ w    ": np.abs(quantized - x @ weight @ weight).max(),
}
print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)
print(f"largest output {np.abs(original).max():.2f}")
for name, error in errors.items():
    print(f"{name}  largest error {error:.2f}")
same, changed, turned = errors.values()
sys.exit(0 if same < 1e-4 and changed > 1 and turned < 0.5 else 1)
PY
# Seen on 2026-11-29 (Python 3.11):
#   onnxruntime 1.31.1 onnx 1.23.2
#   largest output 5.89
#   original  against x @ w.T @ w.T  largest error 0.00
#   quantized against x @ w.T @ w.T  largest error 8.25
#   quantized against x @ w @ w      largest error 0.07
