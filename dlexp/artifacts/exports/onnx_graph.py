"""Changes to ONNX graphs of torch's exporter that quantization tools require.

ONNX Runtime's quantize_dynamic transposes the weight of a Gemm in place. It rejects a file that states the shape of
that weight twice, and silently computes wrong outputs if another node reads the same weight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

_TRANSPOSED = "transB"  # the attribute of a Gemm that reads its weight transposed


def drop_weight_shapes(graph: Any) -> None:
    """Remove the initializers from `value_info`, which is for values without a shape."""
    for part in _graphs(graph):
        weights = {weight.name for weight in part.initializer}
        values = [value for value in part.value_info if value.name not in weights]
        del part.value_info[:]
        part.value_info.extend(values)


def separate_shared_weights(graph: Any) -> None:
    """Store a transposed copy, for the Gemms, of a weight that several nodes read and a Gemm transposes.

    The product is the same. Other nodes read the original weight.
    """
    from onnx import numpy_helper

    readers = Counter(name for part in _graphs(graph) for node in part.node for name in node.input)
    readers.update(output.name for output in graph.output)
    for weight in list(graph.initializer):
        gemms = [node for node in graph.node if _transposes(node, weight.name)]
        if not gemms or readers[weight.name] < 2:
            continue
        transposed = numpy_helper.from_array(numpy_helper.to_array(weight).T.copy(), f"{weight.name}.transposed")
        for node in gemms:
            node.input[1] = transposed.name
            others = [attribute for attribute in node.attribute if attribute.name != _TRANSPOSED]
            del node.attribute[:]
            node.attribute.extend(others)
        if readers[weight.name] == len(gemms):
            graph.initializer.remove(weight)
        graph.initializer.append(transposed)


def _transposes(node: Any, weight: str) -> bool:
    """Return whether `node` is a Gemm that reads `weight` transposed, and only as its weight."""
    is_gemm = node.op_type == "Gemm" and list(node.input).count(weight) == 1 and node.input[1] == weight
    return is_gemm and any(attribute.name == _TRANSPOSED and attribute.i for attribute in node.attribute)


def _graphs(graph: Any) -> Iterator[Any]:
    """`graph` and its subgraphs, which branches and loops have."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(inner)
