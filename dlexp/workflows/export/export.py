"""The workflow `dlexp export`: writes the network of a run for other programs, after checking its outputs.

Symbols: B samples of a batch, T positions of its longest sequence, F features, C channels, H and W height and
width in pixels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import dlexp
from dlexp.artifacts.exports.formats import FORMATS, Exported, named_inputs
from dlexp.artifacts.files.writing import finite_or_none, write_bytes
from dlexp.data.images.float_precision import Narrowing
from dlexp.data.inference.items import joined_inputs
from dlexp.errors import ConfigError, DlexpError
from dlexp.kinds import describe_kind
from dlexp.models.scratch.bridge import in_torch
from dlexp.runtime.seed import generator
from dlexp.runtime.tensors import sha256
from dlexp.sequence_specs import ForecastSpec, SeriesSpec, TokenSpec, TokenTargetSpec
from dlexp.specs import ClassSpec, ImageSpec, TableSpec, ValueSpec
from dlexp.tasks.base import forward
from dlexp.types import Field, Prediction, Sequences, as_tensor
from dlexp.workflows.export.example_sequences import copied, random_sequences
from dlexp.workflows.export.part import exported_part, part_inputs
from dlexp.workflows.export.pipeline import InferencePipeline, check_pipeline, features, inference_pipeline
from dlexp.workflows.export.stepwise import export_stepwise, refuse_other_formats, stepwise_files
from dlexp.workflows.export.stepwise_parts import LOGITS, Encoding
from dlexp.workflows.export.vocabulary_file import write_vocabulary
from dlexp.workflows.predict.inputs import Inputs
from dlexp.workflows.predict.request import PredictRequest
from dlexp.workflows.run_record.restore import RestoredRun, RestoreOptions, restore_run

# The file is portable: fp32 on a CPU, in the default memory format, without compilation or recomputation.
_PLAIN = {
    "trainer.device": "cpu",
    "trainer.precision": "fp32",
    "trainer.channels_last": False,
    "trainer.compile": False,
    "trainer.checkpoint_activations": False,
}
_SIZES = (1, 7)  # of the first two batches that are checked
_BATCH = 64  # of the others


@dataclass(frozen=True)
class ExportRequest:
    """Options of an export.

    Attributes:
        kind: onnx, torch-export or safetensors.
        out: The file; None for RUN/export/model.SUFFIX.
        with_preprocessing: Whether the file takes raw input and returns the output of `dlexp predict`.
        samples: Files of samples to check the outputs on; () for random inputs.
        tolerance: Maximum difference relative to 1 + the largest output; regression outputs are compared in standard
            deviations from the mean of their target.
        force: Whether to overwrite an existing file.
    """

    kind: str
    out: Path | None = None
    with_preprocessing: bool = False
    samples: Sequence[str] = ()
    tolerance: float = 1e-4
    force: bool = False


def export_run(
    folder: Path, request: ExportRequest, options: RestoreOptions, say: Callable[[str], None]
) -> dict[str, Any]:
    """Export the run in `folder`; returns the metadata of the file.

    Args:
        folder: The run directory.
        request: Format, file and samples.
        options: Checkpoint and overrides.
        say: Receives messages.

    Raises:
        ConfigError: The network cannot be exported in this format, the file exists, or a package is missing.
        DlexpError: The outputs of the exported network differ from those of the run; nothing is written.
    """
    stored = restore_run(
        folder,
        RestoreOptions(
            options.checkpoint, {**_PLAIN, **(options.changes or {})}, options.trusted, options.allow_changes
        ),
    )
    if not isfinite(request.tolerance) or request.tolerance < 0:
        raise ConfigError.one("--tolerance", request.tolerance, "must be a finite number >= 0", code="out-of-range")
    suffix, make = FORMATS[request.kind]
    path = request.out or stored.run / "export" / f"model{suffix}"
    stepwise = _puts_out_tokens(stored)
    if stepwise:
        refuse_other_formats(request.kind, request.with_preprocessing, request.samples)
    network = _network(stored, request.with_preprocessing)
    for file in stepwise_files(path) if stepwise else [path]:
        if file.exists() and not request.force:
            remedy = "Add --force to overwrite it, or use another name."
            raise ConfigError.one("--out", file, "already exists", remedy, code="already-exists")
    if stepwise:
        return _stepwise(stored, network, path, request, options)
    with torch.inference_mode():
        batches = list(_batches(stored, request, say))
        answers = [forward(network, inputs) for inputs in batches]
        if isinstance(network, InferencePipeline):
            check_pipeline(stored, network, as_tensor(batches[1]))
    # Exporters trace with autograd, which does not accept inference tensors.
    made = make(in_torch(network), copied(_traced(stored, batches[1])))
    facts = _facts(stored, request, options, (batches[1], answers[1])) | _format_facts(made)
    unit = _unit(stored) if isinstance(network, InferencePipeline) else None
    facts["compared"] = _compared(made, made.content("{}"), (batches, answers), request, unit)
    write_bytes(path, made.content(json.dumps(finite_or_none(facts))))
    facts |= write_vocabulary(path, stored.experiment.bundle.spec.inputs)
    return {**facts, "file": str(path), "bytes": path.stat().st_size}


def _network(stored: RestoredRun, with_preprocessing: bool) -> nn.Module:
    """The network to export, in evaluation mode."""
    if part := exported_part(stored, with_preprocessing):
        return part.network.eval()
    inputs, option = stored.experiment.bundle.spec.inputs, stored.experiment.config.data.option
    is_sequence = isinstance(inputs.blank(), Sequences)
    if not is_sequence and not (inputs.shape and isinstance(inputs.blank(), Tensor)):
        kinds = "sequences, and inputs of one tensor of a fixed shape"
        rule = f"export is supported only for {kinds}, got {describe_kind(inputs.kind)}"
        raise ConfigError.one("data", option, rule, code="not-supported")
    networks = stored.experiment.networks
    # The weights of a loss are not part of the prediction.
    others = networks.keys() - stored.experiment.task.own_networks().keys() - {"model"}
    if "model" not in networks or others:
        rule = f"export is supported only for a single network called model, got {', '.join(networks)}"
        raise ConfigError.one("task", stored.experiment.config.task.option, rule, code="not-supported")
    if with_preprocessing and is_sequence:
        rule = f"is not supported for {describe_kind(inputs.kind)}: the file takes what the network reads, and lengths"
        remedy = "Remove --with-preprocessing."
        raise ConfigError.one("--with-preprocessing", "true", rule, remedy, code="not-supported")
    if with_preprocessing:
        return inference_pipeline(stored).eval()
    return networks["model"].eval()


def _puts_out_tokens(stored: RestoredRun) -> bool:
    """Whether the network puts out a sequence token by token."""
    targets = stored.experiment.bundle.spec.targets
    return isinstance(targets, TokenTargetSpec) and targets.begin is not None


def _stepwise(
    stored: RestoredRun, network: nn.Module, path: Path, request: ExportRequest, options: RestoreOptions
) -> dict[str, Any]:
    """Encoder and step, each in a file, and a manifest. Raises as `export_run`."""
    spec = stored.experiment.bundle.spec
    assert isinstance(spec.inputs, TokenSpec | SeriesSpec) and isinstance(spec.targets, TokenTargetSpec)
    if not isinstance(network, Encoding):
        rule = f"{type(network).__name__} has no method initial(values, lengths), the state in front of the first token"
        raise ConfigError.one("model", stored.experiment.config.model.option, rule, code="not-supported")
    example = next(random_sequences(spec.inputs, _SIZES[1:]))

    def facts(scores: Tensor) -> dict[str, Any]:
        found = _facts(stored, request, options, (example, scores))
        return found | {"output": {**found["output"], "name": LOGITS}}

    return export_stepwise(network, (spec.inputs, spec.targets), path, request.tolerance, facts)


def _batches(stored: RestoredRun, request: ExportRequest, say: Callable[[str], None]) -> Iterator[Field]:
    """Inputs to check the outputs on: a batch of 1, one of 7, then the remaining samples."""
    spec = stored.experiment.bundle.spec.inputs
    if part := exported_part(stored):
        yield from part_inputs(part, _SIZES, request.samples)
        return
    if isinstance(spec, TokenSpec | SeriesSpec):
        yield from _read_sequences(stored, request, say) if request.samples else random_sequences(spec, _SIZES)
        return
    if not request.samples:
        for number, size in enumerate(_SIZES):
            yield _random(stored, size, generator(0, "export", number), request.with_preprocessing)
        return
    if request.with_preprocessing and not isinstance(spec, ImageSpec):
        rule = "cannot be combined with --with-preprocessing for tables"
        raise ConfigError.one(
            "--samples", request.samples[0], rule, "Remove one of the two options.", code="cannot-combine"
        )
    inputs = as_tensor(_read_samples(stored, request, say))
    inputs = inputs if request.with_preprocessing else as_tensor(stored.preprocess(inputs))
    rest = inputs[sum(_SIZES) :].split(_BATCH) if len(inputs) > sum(_SIZES) else ()
    yield from (*inputs[: sum(_SIZES)].split(list(_SIZES)), *rest)


def _traced(stored: RestoredRun, batch: Field) -> Field:
    """The batch that is traced: of sequences a short one, since the greatest length would become a constant."""
    spec = stored.experiment.bundle.spec.inputs
    return next(random_sequences(spec, _SIZES[1:])) if isinstance(spec, TokenSpec | SeriesSpec) else batch


def _read_samples(stored: RestoredRun, request: ExportRequest, say: Callable[[str], None]) -> Tensor | Sequences:
    """The samples of the files. Raises ConfigError for too few."""
    wanted = PredictRequest(tuple(request.samples))
    inputs = joined_inputs([items.inputs for items in Inputs(stored, wanted, say).read()])
    if len(inputs) < sum(_SIZES):
        rule = f"must contain at least {sum(_SIZES)} valid samples, got {len(inputs)}"
        raise ConfigError.one("--samples", request.samples[0], rule, code="too-few-samples")
    return inputs


def _read_sequences(stored: RestoredRun, request: ExportRequest, say: Callable[[str], None]) -> Iterator[Sequences]:
    """The sequences of the files, each batch padded to its own longest."""
    found = _read_samples(stored, request, say)
    assert isinstance(found, Sequences)
    bounds = [0, *accumulate(_SIZES), *range(sum(_SIZES) + _BATCH, len(found), _BATCH), len(found)]
    for begin, end in pairwise(bounds):
        if begin < end:
            lengths = found.lengths[begin:end]
            yield Sequences(found.values[begin:end, : int(lengths.max())], lengths)


def _random(stored: RestoredRun, size: int, source: torch.Generator, raw: bool) -> Tensor:
    """Random inputs (B, *input_shape): standard normal numbers, pixels in the range of the network, random categories.

    raw  in their own units
    """
    spec = stored.experiment.bundle.spec
    numbers = torch.randn(size, *spec.inputs.shape, generator=source)
    white = stored.preprocessing.get("white")
    if raw and isinstance(spec.inputs, ImageSpec) and white not in (None, 1):
        return torch.randint(0, int(white) + 1, numbers.shape, generator=source, dtype=torch.uint8)
    if not raw and isinstance(spec.inputs, ImageSpec) and spec.inputs.value_range is not None:
        low, high = spec.inputs.value_range
        return low + (high - low) * torch.rand(numbers.shape, generator=source)
    narrowing = Narrowing.of_plain(stored.preprocessing)
    if raw and narrowing is not None:
        offset, unit = (torch.tensor(part, dtype=torch.float64)[:, None, None] for part in vars(narrowing).values())
        return offset + unit * numbers.double()
    if raw and (columns := features(stored)) is not None:
        numbers = columns.mean + columns.std * numbers.double()
    for first, count in spec.inputs.categorical if isinstance(spec.inputs, TableSpec) else ():
        chosen = torch.randint(0, count, (size,), generator=source)
        numbers[:, first : first + count] = nn.functional.one_hot(chosen, count).to(numbers.dtype)
    return numbers


def _unit(stored: RestoredRun) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation (O,) of the outputs of a regression pipeline; None for classes and embeddings."""
    targets = stored.experiment.bundle.spec.targets
    if not isinstance(targets, ValueSpec):
        return None
    return torch.tensor(targets.mean, dtype=torch.float64), torch.tensor(targets.std, dtype=torch.float64)


def _compared(
    made: Exported,
    content: bytes,
    samples: tuple[list[Field], list[Tensor]],
    request: ExportRequest,
    unit: tuple[Tensor, Tensor] | None,
) -> dict[str, Any]:
    """The largest difference between the outputs of the file and those of the run.

    Args:
        made: The exported network.
        content: The bytes of the file.
        samples: Inputs and expected outputs, batch by batch.
        request: Options of the export.
        unit: Mean and standard deviation (O,) of each output, to compare in standard deviations; None to compare the
            outputs as they are.

    Raises:
        DlexpError: The difference exceeds the tolerance.
    """
    largest, scale = 0.0, 0.0
    mean, std = unit or (torch.tensor(0.0), torch.tensor(1.0))
    of = "the largest output" if unit is None else "the largest output in standard deviations"
    for inputs, expected in zip(*samples, strict=True):
        if expected.isnan().any():
            raise DlexpError(
                f"the network of the run returns NaN for some of {len(expected)} samples. Nothing was written. "
                "Train the run again, or name samples with finite outputs with --samples",
                code="diverged",
            )
        with torch.inference_mode():
            found = made.answer(content, copied(inputs))
        finite = expected.isfinite()
        if found.shape != expected.shape or not torch.equal(found[~finite], expected[~finite]):
            raise DlexpError(
                f"the exported network returns outputs of shape {tuple(found.shape)} for {len(expected)} samples, "
                f"expected {tuple(expected.shape)} with the same infinite values. Nothing was written.",
                code="incompatible-weights",
            )
        if finite.any():  # a NaN or infinite output, where a finite one is expected, is an infinite difference
            differences = ((found - expected) / std)[finite].abs().nan_to_num(torch.inf)
            largest = max(largest, float(differences.max()))
            scale = max(scale, float(((expected - mean) / std)[finite].abs().max()))
    allowed = request.tolerance * (1 + scale)
    if largest > allowed:
        raise DlexpError(
            f"the outputs of the exported network differ by up to {largest:.3g}, but at most {allowed:.3g} is allowed "
            f"({request.tolerance:g} times 1 + {of}). Nothing was written.",
            code="incompatible-weights",
        )
    return {
        "on": "the samples of --samples" if request.samples else "random inputs",
        "batches": [len(answers) for answers in samples[1]],
        "largest_difference": largest,
        "largest_output": scale,
        "in": "the unit of the outputs" if unit is None else "standard deviations of each target, from its mean",
        "tolerance": request.tolerance,
    }


def _facts(
    stored: RestoredRun, request: ExportRequest, options: RestoreOptions, pair: tuple[Field, Tensor]
) -> dict[str, Any]:
    """The metadata of the file."""
    experiment, (inputs, outputs) = stored.experiment, pair
    config, spec = experiment.config, experiment.bundle.spec
    has_pixels = isinstance(spec.inputs, ImageSpec) and exported_part(stored) is None
    return {
        "dlexp": dlexp.__version__,
        "torch": str(torch.__version__),
        "run": stored.run.path.name,
        "checkpoint": options.checkpoint,
        "model": config.model.option,
        "data": config.data.option,
        "task": config.task.option,
        "weights_sha256": sha256(experiment.networks.state_dict().values()),
        "with_preprocessing": request.with_preprocessing,
        "input": _described_inputs(inputs) | ({"layout": "NCHW"} if has_pixels else {}),
        "output": _described("output", outputs, inputs) | {"what": _what(stored, outputs, request.with_preprocessing)},
        "classes": list(spec.targets.names if isinstance(spec.targets, ClassSpec) else ()),
        "targets": _target_names(spec.targets),
        "preprocessing": stored.preprocessing,
    }


def _target_names(targets: object) -> list[str]:
    """The name of each output that is a value; of a forecast those of its steps."""
    if isinstance(targets, ForecastSpec):
        return list(targets.output_names)
    return list(targets.names) if isinstance(targets, ValueSpec) else []


def _described(name: str, values: Tensor, inputs: Field) -> dict[str, Any]:
    kind = str(values.dtype).removeprefix("torch.")
    free: list[str | int] = ["batch"]
    if isinstance(inputs, Sequences) and values.ndim > 1 and values.shape[1] == inputs.values.shape[1]:
        free.append("length")
    return {"name": name, "shape": [*free, *values.shape[len(free) :]], "dtype": kind}


def _described_inputs(inputs: Field) -> dict[str, Any]:
    """The input, or values and lengths by name."""
    named = {name: _described(name, value, inputs) for name, value in named_inputs(inputs).items()}
    return named.get("input", named)


def _what(stored: RestoredRun, outputs: Tensor, is_read: bool) -> str:
    """The meaning of the outputs."""
    experiment = stored.experiment
    spec, option = experiment.bundle.spec, experiment.config.task.option
    if part := exported_part(stored):
        return part.what
    if not is_read:
        return f"raw outputs of the network, before decoding by task={option}"
    if isinstance(spec.targets, ValueSpec):
        middle = experiment.config.loss.option == "quantile"
        return "values in their own units" + (" (the quantile closest to the median)" if middle else "")
    rows = torch.arange(len(outputs))
    meaning = experiment.task.prediction_columns(spec, Prediction(outputs, rows, torch.tensor(0.0), rows)).meaning
    return {"p": "probabilities of the classes", "": "embeddings"}.get(meaning, "scores of the classes")


def _format_facts(made: Exported) -> dict[str, Any]:
    opset = getattr(made, "opset", None)
    return {} if opset is None else {"opset": opset}
