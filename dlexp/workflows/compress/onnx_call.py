"""A forward pass by onnxruntime with one thread."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from dlexp.artifacts.exports.formats import Onnx
from dlexp.assemble.experiment import Experiment
from dlexp.errors import ConfigError
from dlexp.types import Batch
from dlexp.workflows.compress.measure import Call


def onnx_call(experiment: Experiment, batch: Batch) -> Call:
    """The forward pass of a batch by onnxruntime. Raises ConfigError for several networks, and without the package."""
    inputs = batch.inputs
    if list(experiment.networks) != ["model"] or not isinstance(inputs, Tensor):
        rule = "times one network whose input is one tensor"
        raise ConfigError.one("--onnx", experiment.config.model.option, rule, "Remove --onnx.", code="not-supported")
    network = copy.deepcopy(experiment.networks["model"]).cpu().float().to(memory_format=torch.contiguous_format).eval()
    example = inputs.cpu().float().contiguous() if inputs.is_floating_point() else inputs.cpu()
    return session_call(Onnx(network, torch.cat([example, example])).content(""), example)


def session_call(content: bytes, inputs: Tensor) -> Call:
    """A run of an ONNX file with one thread, as a call."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: inputs.numpy()}
    return lambda: session.run(None, given)
