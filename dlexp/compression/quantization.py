"""Networks in whole numbers: an ONNX file whose weights, and in part whose activations, have 8 bits, by ONNX Runtime.

torch.ao is not used: it is deprecated and warns, and the successor of its eager mode runs slower than float32 on a CPU.

static   weights and activations, with ranges measured on training samples before (QDQ: each operator stays the usual
         one between a quantization and its reverse, which a runtime fuses)
dynamic  weights of dense and recurrent layers; the range of their inputs is measured whenever the network runs

Weights have a scale for each output channel. Both sides are signed: unsigned activations with signed weights overflow
the 16-bit sums of CPUs without VNNI (microsoft/onnxruntime#6004).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.errors import ConfigError, DlexpError, message_of

KINDS = ("static", "dynamic")
_DYNAMIC_OPERATORS = ("MatMul", "Gemm", "LSTM", "Attention")  # ConvInteger is slow (microsoft/onnxruntime#12854)
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN")
_MOST_REASON = 300  # characters of an exception of ONNX Runtime


@dataclass(frozen=True)
class Quantized:
    """A network in whole numbers.

    Attributes:
        content: The bytes of the .onnx file.
        quantized: Operators with 8-bit weights.
        total: Operators with weights.
    """

    content: bytes
    quantized: int
    total: int


def quantize(content: bytes, kind: str, samples: Iterable[Mapping[str, NDArray[Any]]] = ()) -> Quantized:
    """Quantize an ONNX file.

    Args:
        content: The bytes of a float32 .onnx file.
        kind: One of KINDS.
        samples: Batches of inputs by name, with which static quantization measures the ranges of activations.

    Raises:
        ConfigError: ONNX Runtime is not installed, or no layer could be quantized.
        DlexpError: ONNX Runtime cannot quantize the network.
    """
    with _quiet(), TemporaryDirectory(prefix="dlexp-quantize-") as folder:
        given, prepared, made = (Path(folder) / name for name in ("given.onnx", "prepared.onnx", "made.onnx"))
        given.write_bytes(content)
        try:
            _prepare(given, prepared)
            (_dynamic if kind == "dynamic" else _static)(prepared, made, samples)
        except (ConfigError, KeyboardInterrupt):
            raise
        except Exception as error:  # its tools raise almost anything
            why = " ".join(message_of(error).split())[:_MOST_REASON]
            raise DlexpError(f"onnxruntime cannot quantize this network: {why}", code="not-supported") from error
        total = _weighted_operators(prepared)
        found = Quantized(made.read_bytes(), _quantized_operators(made), total)
    if not found.quantized:
        other = "static" if kind == "dynamic" else "dynamic"
        rule = f"finds none of the {total} layers with weights that it can quantize"
        raise ConfigError.one("--quantize", kind, rule, f"Try --quantize {other}", code="not-supported")
    return found


def _prepare(given: Path, out: Path) -> None:
    """Shapes of all values, and normalizations folded into the layers in front of them."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(given), str(out), skip_symbolic_shape=True)


def _static(given: Path, out: Path, samples: Iterable[Mapping[str, NDArray[Any]]]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Batches in their order, once."""

        def __init__(self) -> None:
            self._left = iter(samples)

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            """The next batch, None after the last."""
            batch = next(self._left, None)
            return None if batch is None else dict(batch)

    quantize_static(
        str(given),
        str(out),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )


def _dynamic(given: Path, out: Path, samples: Iterable[Mapping[str, NDArray[Any]]]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    del samples
    quantize_dynamic(
        str(given),
        str(out),
        op_types_to_quantize=list(_DYNAMIC_OPERATORS),
        per_channel=True,
        weight_type=QuantType.QInt8,
    )


def _weighted_operators(path: Path) -> int:
    """How many operators of a float32 file have weights."""
    return sum(1 for _ in _readers_of_weights(path, np.float32))


def _quantized_operators(path: Path) -> int:
    """How many have weights of 8 bits: read as they are, or through DequantizeLinear."""
    return sum(1 for _ in _readers_of_weights(path, np.int8))


def _readers_of_weights(path: Path, kind: type[np.generic]) -> Iterator[Any]:
    """The operators whose second input is a matrix or kernel of numbers of one kind that are stored in the file."""
    import onnx
    from onnx import TensorProto

    graph = onnx.load(str(path)).graph
    wanted = TensorProto.INT8 if kind is np.int8 else TensorProto.FLOAT
    stored = {each.name for each in graph.initializer if each.data_type == wanted and len(each.dims) >= 2}
    stored |= {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in stored}
    for node in graph.node:
        name = node.op_type.removesuffix("Integer").removeprefix("Dynamic").removeprefix("Quantize")
        if name in _WEIGHTED and len(node.input) > 1 and node.input[1] in stored:
            yield node


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what onnxruntime's tools log and warn of: they advise to do what is done here."""
    try:
        import onnx  # noqa: F401
        import onnxruntime.quantization  # noqa: F401
    except ImportError as error:
        rule = f"requires onnx and onnxruntime ({error})"
        remedy = "Install it: pip install 'dlexp[onnx]'"
        raise ConfigError.one("--quantize", "", rule, remedy, code="missing-package") from error
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
