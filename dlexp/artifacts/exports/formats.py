"""Export formats: a network as a file for other programs, and the outputs computed from that file.

Every format stores a text with facts about the network in its metadata, under the name `dlexp`.

Symbols: B samples of a batch, T positions of its longest sequence, any numbers.
"""

from __future__ import annotations

import copy
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dlexp.artifacts.exports.onnx_graph import drop_weight_shapes, separate_shared_weights
from dlexp.errors import ConfigError, DlexpError
from dlexp.runtime.device import readable_cudnn_flags
from dlexp.types import Field, Sequences

NAME = "dlexp"  # key of the facts in the metadata
_MAX_REASON = 300  # characters of torch's reason why it cannot export
_PT2_NAME = "dlexp.json"  # torch.export stores extra facts as files


@dataclass(frozen=True)
class Signature:
    """Outputs and free axes of a network of several tensors.

    outputs  their names
    free     input -> its axes of any size
    """

    outputs: Sequence[str]
    free: Mapping[str, Sequence[int]]


class Exported(Protocol):
    """A network in one format."""

    def content(self, facts: str) -> bytes:
        """The bytes of the file, including `facts`."""

    def answer(self, content: bytes, inputs: Field) -> Tensor:
        """The outputs that a reader of `content` computes from inputs (B, *input_shape), or from sequences."""


class Onnx:
    """ONNX written by torch's exporter, with a free batch size and length, and run by ONNX Runtime on the CPU.

    Paths of this machine, which torch stores with every node, are removed.
    """

    def __init__(self, network: nn.Module, example: Field, signature: Signature | None = None) -> None:
        with _needing("onnx", "onnx, onnxscript and onnxruntime"):
            import onnxruntime
            import onnxscript  # noqa: F401 - torch's exporter imports it late and fails without a clear message
        self._runtime = onnxruntime
        with _exporting():
            program = _program(network, example, signature)
            try:
                found = torch.onnx.export(
                    program,
                    (),
                    input_names=list(named_inputs(example)),
                    output_names=["output"] if signature is None else list(signature.outputs),
                    verbose=False,
                    external_data=False,
                )
            except torch.onnx.OnnxExporterError as error:
                missing = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", str(error))
                why = f"ONNX has nothing like {missing[1]}" if missing else " ".join(str(error).split())[:_MAX_REASON]
                raise DlexpError(
                    f"torch.onnx does not support this network: {why}. Use --to torch-export", code="not-supported"
                ) from error
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
        """The bytes of a .onnx file, with the facts in `metadata_props`. Raises DlexpError above 2 GiB."""
        model = copy.deepcopy(self._model)
        model.metadata_props.add(key=NAME, value=facts)
        try:
            return bytes(model.SerializeToString())
        except ValueError as error:
            raise DlexpError(f"the network is too large for one ONNX file: {error}", code="too-large") from error

    def answer(self, content: bytes, inputs: Field) -> Tensor:
        """The outputs computed by ONNX Runtime."""
        return self.answers(content, named_inputs(inputs))["output"]

    def answers(self, content: bytes, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All outputs by name, computed by ONNX Runtime; inputs that the network does not read are left out."""
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()
        session = self._runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        read = {one.name for one in session.get_inputs()}
        found = session.run(None, {name: value.numpy() for name, value in inputs.items() if name in read})
        names = (one.name for one in session.get_outputs())
        return {name: torch.from_numpy(value) for name, value in zip(names, found, strict=True)}


class Program:
    """The format of torch.export (.pt2), with a free batch size; torch.export.load reads it without dlexp."""

    def __init__(self, network: nn.Module, example: Field) -> None:
        with _exporting():
            self._program = _program(network, example)

    def content(self, facts: str) -> bytes:
        """The bytes of a .pt2 file, with the facts as the extra file dlexp.json."""
        buffer = io.BytesIO()
        torch.export.save(self._program, buffer, extra_files={_PT2_NAME: facts})
        return buffer.getvalue()

    def answer(self, content: bytes, inputs: Field) -> Tensor:
        """The outputs of the program loaded from the bytes."""
        found: Tensor = torch.export.load(io.BytesIO(content)).module()(*named_inputs(inputs).values())
        return found


class Safetensors:
    """The weights alone, by name, in a format that executes nothing; the facts are in the metadata of the header."""

    def __init__(self, network: nn.Module, example: Field) -> None:
        del example
        with _needing("safetensors", "safetensors"):
            import safetensors.torch as library
        self._library, self._network = library, network

    def content(self, facts: str) -> bytes:
        """The bytes of a .safetensors file."""
        # One copy per tensor: the format does not support shared memory and strides.
        weights = {name: value.contiguous().clone() for name, value in self._network.state_dict().items()}
        return bytes(self._library.save(weights, metadata={"format": "pt", NAME: facts}))

    def answer(self, content: bytes, inputs: Field) -> Tensor:
        """The outputs of a copy of the network whose weights are all overwritten with those in the bytes."""
        network = copy.deepcopy(self._network)
        for value in network.state_dict().values():
            value.zero_()
        network.load_state_dict(self._library.load(content))
        found: Tensor = network(*named_inputs(inputs).values())
        return found


FORMATS: dict[str, tuple[str, Callable[[nn.Module, Field], Exported]]] = {  # format -> (suffix, exporter)
    "onnx": (".onnx", Onnx),
    "torch-export": (".pt2", Program),
    "safetensors": (".safetensors", Safetensors),
}


def named_inputs(inputs: Field) -> dict[str, Tensor]:
    """The arguments of a network by the names that a file has for them."""
    if isinstance(inputs, Tensor):
        return {"input": inputs}
    return vars(inputs) if isinstance(inputs, Sequences) else dict(inputs)


def _program(network: nn.Module, example: Field, signature: Signature | None = None) -> torch.export.ExportedProgram:
    """The computation of `network` for any batch size and length. Raises DlexpError if it depends on one of them."""
    axes: tuple[Any, ...] = ({0: torch.export.Dim("batch")},) * len(named_inputs(example))
    free = torch.export.Dim.DYNAMIC
    if isinstance(example, Sequences):
        axes = ({0: free, 1: free}, {0: free})
    if signature is not None:
        axes = tuple(dict.fromkeys(signature.free[name], free) for name in named_inputs(example))
        if len(axes) > 2 or "values" not in signature.free:  # the others are *arguments
            axes = (axes[0], axes[1:])
    try:
        arguments = tuple(named_inputs(example).values())
        # A strict trace goes into torch's recurrent layers and makes the length a constant.
        # Guards of several inputs cannot be read again by the exporter to ONNX (torch 2.15); assertions can.
        found = torch.export.export(
            network,
            arguments,
            dynamic_shapes=axes,
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=signature is not None,
        )
    except Exception as error:  # torch raises many types for what it cannot trace
        reason = " ".join(str(error).split())[:_MAX_REASON] or type(error).__name__
        length = " and length" if isinstance(example, Sequences) else ""
        raise DlexpError(
            f"torch.export does not support this network with a free batch size{length}: {reason}", code="not-supported"
        ) from error
    for node in found.graph.nodes:
        node.meta.pop("stack_trace", None)  # contains paths of this machine
    return found


def _anonymize(model: Any) -> None:
    """Name the free axes and remove the source locations that torch stores with each node."""
    graph = model.graph
    names: dict[str, str] = {}
    for value in graph.input:  # sequences have two, and torch names the batch of each
        for axis, name in zip(value.type.tensor_type.shape.dim, ("batch", "length"), strict=False):
            names |= {axis.dim_param: name} if axis.dim_param else {}
    for value in (*graph.input, *graph.output, *graph.value_info):
        del value.metadata_props[:]
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in names:
                axis.dim_param = names[axis.dim_param]
    for part in (*graph.node, *graph.initializer, graph):
        part.doc_string = ""
        del part.metadata_props[:]
    del model.metadata_props[:]


@contextmanager
def _exporting() -> Iterator[None]:
    """Silence the internal warnings of torch's exporters, which older versions print into the JSON output."""
    with readable_cudnn_flags(), redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _needing(extra: str, packages: str) -> Iterator[None]:
    """Raise ConfigError that names the extra if an import of the body fails."""
    try:
        yield
    except ImportError as error:
        rule = f"requires {packages} ({error})"
        raise ConfigError.one(
            "--to", extra, rule, f"Install it: pip install 'dlexp[{extra}]'", code="missing-package"
        ) from error
