"""The export of a network that is an ONNX file already: the file itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from dlexp.compression.onnx_network import OnnxNetwork
from dlexp.errors import ConfigError
from dlexp.workflows.run_record.restore import RestoredRun


def onnx_copy(stored: RestoredRun, kind: str, with_preprocessing: bool) -> bytes | None:
    """The bytes of the ONNX file that the network of a run is, None for a network of torch.

    Args:
        stored: The run.
        kind: The format that is asked for.
        with_preprocessing: Whether the file shall take raw input.

    Raises ConfigError for a file that cannot be made of an ONNX file.
    """
    networks = stored.experiment.networks
    if "model" not in networks or not isinstance(network := networks["model"], OnnxNetwork):
        return None
    if kind != "onnx":
        rule = "cannot be made of a network that is an ONNX file of 8-bit integers"
        raise ConfigError.one("--to", kind, rule, "Use --to onnx", code="not-supported")
    if with_preprocessing:
        rule = "is not supported for a network that is an ONNX file: it is copied as it is"
        raise ConfigError.one("--with-preprocessing", "true", rule, "Remove it.", code="not-supported")
    return network.file


def copied_facts(answers: Sequence[Tensor], tolerance: float) -> dict[str, Any]:
    """What a comparison of other exports finds, of a file that is copied."""
    return {
        "on": "nothing, since the file is a copy",
        "batches": [],
        "largest_difference": 0.0,
        "largest_output": max(float(each.abs().max()) for each in answers),
        "in": "the unit of the outputs",
        "tolerance": tolerance,
    }
