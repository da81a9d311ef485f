"""The last step of a compression: an ONNX file of 8-bit integers in place of the network.

Symbols: B samples of a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore
from dlexp.artifacts.exports.formats import Onnx, named_inputs
from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.compression.onnx_network import OnnxNetwork
from dlexp.compression.quantization import Quantized, quantize
from dlexp.config.typed import with_values
from dlexp.data.loaders import EvalBatches
from dlexp.engine.evaluate import evaluate
from dlexp.errors import ConfigError, DlexpError
from dlexp.kinds import describe_kind
from dlexp.workflows.compress.request import Quantize
from dlexp.workflows.compress.steps import samples_of
from dlexp.workflows.run_record.write import write_request

_CALIBRATED = 512  # training samples, evenly spaced
_BATCH = 64  # of them at a time


@dataclass(frozen=True)
class Quantization:
    """A network in whole numbers that has replaced the one of a run.

    Attributes:
        experiment: Of the run, with the ONNX file as its network.
        float_file: The same network in float32, as an ONNX file.
        found: The file, and how much of it is quantized.
        samples: Training samples that the ranges of activations were measured on, 0 for dynamic quantization.
    """

    experiment: Experiment
    float_file: bytes
    found: Quantized
    samples: int


def quantized(run: RunDir, experiment: Experiment, step: Quantize) -> Quantization:
    """Quantize the network of a locked run whose checkpoints are written, and write it there in place of the weights.

    Args:
        run: The run.
        experiment: With the weights of its best checkpoint.
        step: The mode.

    Raises:
        ConfigError: The network has other inputs or outputs than an ONNX file of one tensor each can replace.
        DlexpError: It cannot be exported or quantized.
    """
    kind = "dynamic" if step.mode == "dynamic" else "static"
    float_file = onnx_file(experiment)
    count = min(_CALIBRATED, len(experiment.bundle.splits["train"])) if kind == "static" else 0
    found = quantize(float_file, kind, _calibration(experiment, count) if count else ())
    values = {"compression.onnx_bytes": len(found.content), "trainer.compile": False}
    config = with_values(experiment.config, values)
    replaced = assemble(config, experiment.trusted, experiment.bundle, is_for_training=False)
    network = replaced.networks["model"]
    assert isinstance(network, OnnxNetwork)
    network.load_file(found.content)
    _write(run, replaced)
    return Quantization(replaced, float_file, found, count)


def check_quantizable(experiment: Experiment) -> None:
    """Raise ConfigError for a network that is more than one tensor in and one vector a sample out."""
    config, spec = experiment.config, experiment.bundle.spec
    inputs = samples_of(experiment, 2).inputs
    names = list(experiment.trained_weights(experiment.networks.state_dict()))
    if {name.partition(".")[0] for name in names} - {"model"} or "model" not in experiment.networks:
        rule = f"has the networks {', '.join(experiment.networks)}, and --quantize replaces one"
    elif not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        rule = f"reads {describe_kind(spec.inputs.kind)}; --quantize is for networks that read one tensor of numbers"
    elif (shape := _output_shape(experiment, inputs)) != (wanted := (len(inputs), experiment.task.num_outputs(spec))):
        rule = f"puts out {shape} for {len(inputs)} samples; --quantize is for networks that put out {wanted}"
    else:
        return
    raise ConfigError.one("model", config.model.option, rule, "Use --prune or --low-rank.", code="not-supported")


def onnx_file(experiment: Experiment) -> bytes:
    """The network of an experiment in float32 as an ONNX file. Raises DlexpError if it cannot be exported."""
    example = samples_of(experiment, 2).inputs
    network = portable(experiment.networks["model"])
    if isinstance(network, OnnxNetwork):
        return network.file
    assert isinstance(example, Tensor)
    two = torch.cat([example, example])[:2].cpu().float().contiguous()  # the size of a batch of one would be fixed
    try:
        return Onnx(network, two).content("")
    except DlexpError as error:
        if isinstance(error, ConfigError):
            raise
        why = str(error).partition(". Use --to")[0]
        raise DlexpError(f"the network cannot become an ONNX file: {why}", code=error.code) from error


def portable(network: nn.Module) -> nn.Module:
    """A copy on the CPU in float32 and in the usual memory format, in evaluation mode."""
    return copy.deepcopy(network).cpu().float().to(memory_format=torch.contiguous_format).eval()


def _output_shape(experiment: Experiment, inputs: Tensor) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(experiment.networks.eval()["model"](inputs).shape)


def _calibration(experiment: Experiment, count: int) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Training samples as the network reads them in evaluation, evenly spaced."""
    chosen = torch.linspace(0, len(experiment.bundle.splits["train"]) - 1, count).round().long()
    few = experiment.bundle.with_split_subset("train", chosen)
    for batch in EvalBatches(few, "train", _BATCH, torch.device("cpu")):
        yield {name: value.float().numpy() for name, value in named_inputs(batch.inputs).items()}


def _write(run: RunDir, experiment: Experiment) -> None:
    """Write the configuration, the weights and the metrics of the new network."""
    metrics = evaluate(
        experiment.task,
        experiment.networks,
        experiment.split("val"),
        experiment.precision,
        experiment.metrics.epoch_state(),
        seed=experiment.config.seed,
    ).metrics
    store = CheckpointStore(run / "checkpoints", lambda text: None)
    weights = {"networks": experiment.networks.state_dict(), "position": {}, "metrics": metrics}
    store.save_best(weights)
    for name in ("last.pt", "previous.pt"):  # of a training that cannot go on
        (run / "checkpoints" / name).unlink(missing_ok=True)
    write_request(run, experiment, None, None)
    write_json(run / "summary.json", read_run_file(run / "summary.json") | {"best": metrics})
