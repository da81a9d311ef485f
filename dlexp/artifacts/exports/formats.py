"""A network as a file that other programs read, and what comes out of that file.

Every format takes facts about the network as text and keeps them in its own metadata, under the name `dlexp`.

Symbols: B samples of a batch, whatever their number.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dlexp.artifacts.exports.onnx_graph import drop_weight_shapes, separate_shared_weights
from dlexp.errors import ConfigError, DlexpError
from dlexp.runtime.device import flags_of_old

NAME = "dlexp"  # of the facts in a file's metadata
_REASON = 300  # characters of why torch cannot follow a network
_PT2_NAME = "dlexp.json"  # torch.export keeps facts as files


class Exported(Protocol):
    """A network in one format."""

    def content(self, facts: str) -> bytes:
        """The bytes of the file, with these facts in it."""

    def answer(self, content: bytes, inputs: Tensor) -> Tensor:
        """What a reader of `content` computes from inputs (B, *input_shape)."""


class Onnx:
    """ONNX by torch's exporter, with a free batch size, answered by ONNX Runtime on the CPU.

    Names of files on this machine, which torch writes beside every node, are left out.
    """

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        with _needing("onnx", "onnx, onnxscript and onnxruntime"):
            import onnxruntime
            import onnxscript  # noqa: F401 - torch's exporter asks for it late, and otherwise than in words
        self._runtime = onnxruntime
        with _exporting():
            found = torch.onnx.export(
                _program(network, example),
                (),
                input_names=["input"],
                output_names=["output"],
                verbose=False,
                external_data=False,
            )
            assert found is not None
        self._model: Any = found.model_proto
        separate_shared_weights(self._model.graph)
        drop_weight_shapes(self._model.graph)
        _anonymize(self._model)

    @property
    def opset(self) -> int:
        """The version of ONNX's operators."""
        return int(next(entry.version for entry in self._model.opset_import if entry.domain == ""))

    def content(self, facts: str) -> bytes:
        """The bytes of a .onnx file; the facts are in `metadata_props`. Raises DlexpError above 2 GiB."""
        model = copy.deepcopy(self._model)
        model.metadata_props.add(key=NAME, value=facts)
        try:
            return bytes(model.SerializeToString())
        except ValueError as error:
            raise DlexpError(
                f"a network of this size is more than one ONNX file holds: {error}", code="too-large"
            ) from error

    def answer(self, content: bytes, inputs: Tensor) -> Tensor:
        """By ONNX Runtime."""
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()
        session = self._runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return torch.from_numpy(session.run(["output"], {"input": inputs.numpy()})[0])


class Program:
    """torch.export's own format (.pt2), with a free batch size: loads with torch.export.load, without dlexp."""

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        with _exporting():
            self._program = _program(network, example)

    def content(self, facts: str) -> bytes:
        """The bytes of a .pt2 file; the facts are the extra file dlexp.json."""
        buffer = io.BytesIO()
        torch.export.save(self._program, buffer, extra_files={_PT2_NAME: facts})
        return buffer.getvalue()

    def answer(self, content: bytes, inputs: Tensor) -> Tensor:
        """By the program that is loaded from the bytes."""
        found: Tensor = torch.export.load(io.BytesIO(content)).module()(inputs)
        return found


class Safetensors:
    """The weights alone, by name, which load without running anything; the facts are in the header's metadata."""

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        del example
        with _needing("safetensors", "safetensors"):
            import safetensors.torch as library
        self._library, self._network = library, network

    def content(self, facts: str) -> bytes:
        """The bytes of a .safetensors file."""
        # Each tensor for itself: the format refuses those that share their memory, and strides.
        weights = {name: value.contiguous().clone() for name, value in self._network.state_dict().items()}
        return bytes(self._library.save(weights, metadata={"format": "pt", NAME: facts}))

    def answer(self, content: bytes, inputs: Tensor) -> Tensor:
        """By a copy of the network whose weights are all overwritten with those in the bytes."""
        network = copy.deepcopy(self._network)
        for value in network.state_dict().values():
            value.zero_()
        network.load_state_dict(self._library.load(content))
        found: Tensor = network(inputs)
        return found


FORMATS: dict[str, tuple[str, Callable[[nn.Module, Tensor], Exported]]] = {  # format -> (suffix, what makes it)
    "onnx": (".onnx", Onnx),
    "torch-export": (".pt2", Program),
    "safetensors": (".safetensors", Safetensors),
}


def _program(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """The computation of `network` for any number of samples. Raises DlexpError where it depends on their number."""
    try:
        found = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    except Exception as error:  # torch raises many kinds for what it cannot trace
        reason = " ".join(str(error).split())[:_REASON] or type(error).__name__
        raise DlexpError(
            f"torch.export cannot follow this network for any batch size: {reason}", code="not-supported"
        ) from error
    for node in found.graph.nodes:
        node.meta.pop("stack_trace", None)  # files and lines of this machine
    return found


def _anonymize(model: Any) -> None:
    """Name the free axis, and drop what torch tells of where each node comes from."""
    graph = model.graph
    free = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        del value.metadata_props[:]
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param == free:
                axis.dim_param = "batch"
    for part in (*graph.node, *graph.initializer, graph):
        part.doc_string = ""
        del part.metadata_props[:]
    del model.metadata_props[:]


@contextmanager
def _exporting() -> Iterator[None]:
    """torch's exporters warn of their own doings, which nobody can act on; older ones print them, into our JSON."""
    with flags_of_old(), redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _needing(extra: str, packages: str) -> Iterator[None]:
    """Raises ConfigError that names the extra where a package is missing."""
    try:
        yield
    except ImportError as error:
        rule = f"needs {packages} ({error})"
        raise ConfigError.one("--to", extra, rule, f"pip install 'dlexp[{extra}]'", code="missing-package") from error
