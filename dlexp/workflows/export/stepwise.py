"""Networks that put out one token after another, as two files: the encoder of the sources, and the step.

Symbols: B samples, T positions of the longest source, P tokens so far, V tokens of the vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.artifacts.exports.formats import Onnx
from dlexp.artifacts.files.writing import finite_or_none, write_bytes
from dlexp.errors import ConfigError, DlexpError
from dlexp.sequence_specs import SeriesSpec, TokenSpec, TokenTargetSpec
from dlexp.types import Sequences
from dlexp.workflows.export.example_sequences import random_sequences
from dlexp.workflows.export.stepwise_parts import (
    LOGITS,
    NEXT,
    TOKENS,
    Encoding,
    Part,
    encoder_and_step,
    initial_state,
)
from dlexp.workflows.export.vocabulary_file import write_vocabulary

_MOST = 12  # tokens of a comparison
_SIZES = (1, 7)


def export_stepwise(
    network: nn.Module,
    specs: tuple[TokenSpec | SeriesSpec, TokenTargetSpec],
    path: Path,
    tolerance: float,
    facts: Callable[[Tensor], Mapping[str, Any]],
) -> dict[str, Any]:
    """Write `<path>.encoder.onnx`, `<path>.step.onnx` and `<path>.json`, which says how they go together.

    Before that, both are run by ONNX Runtime in a greedy loop beside the network.

    Args:
        network: In evaluation mode.
        specs: Of inputs and targets.
        path: Without a suffix.
        tolerance: Largest difference of scores, relative to 1 + the largest of them.
        facts: The scores (B, V) of a step -> the metadata of the files.

    Raises:
        DlexpError: torch cannot export it, or the scores differ; nothing is written.
    """
    inputs, targets = specs
    assert isinstance(network, Encoding) and targets.begin is not None
    batches = list(random_sequences(inputs, _SIZES))
    with torch.no_grad():
        parts = encoder_and_step(network, batches[1])
    made = [Onnx(part.network, dict(part.example), part.signature) for part in parts]
    contents = [one.content("{}") for one in made]
    most = min(_MOST, targets.max_length)
    with torch.no_grad():
        found = [_differences(network, (made, contents), one, targets.begin, most) for one in batches]
    largest, scale = (max(values) for values in zip(*(pair[:2] for pair in found), strict=True))
    _refuse_difference(largest, scale, tolerance)
    content = {
        **facts(found[1][2]),
        "opset": made[0].opset,
        "parts": {part.name: {"file": _file(path, part).name, **_described(part)} for part in parts},
        "begin": targets.begin,
        "end": targets.end,
        "max_length": targets.max_length,
        "compared": {
            "on": f"random inputs, {most} tokens each",
            "batches": [len(one) for one in batches],
            "largest_difference": largest,
            "largest_output": scale,
            "in": "the unit of the outputs",
            "tolerance": tolerance,
        },
    }
    for part, one in zip(parts, made, strict=True):
        write_bytes(_file(path, part), one.content(json.dumps(finite_or_none(content))))
    content |= write_vocabulary(path.with_suffix(".source.onnx"), inputs)
    if targets.vocabulary is not None:
        own = TokenSpec(targets.vocabulary_size, targets.max_length, targets.vocabulary)
        content["target_vocabulary"] = write_vocabulary(path.with_suffix(".target.onnx"), own)["vocabulary"]
    manifest = path.with_suffix(".json")
    write_bytes(manifest, json.dumps(finite_or_none(content), indent=1).encode())
    size = sum(_file(path, part).stat().st_size for part in parts)
    return {**content, "file": str(manifest), "bytes": size}


def _refuse_difference(largest: float, scale: float, tolerance: float) -> None:
    """Raise DlexpError for scores that differ too much; NaN does."""
    allowed = tolerance * (1 + scale)
    if not largest <= allowed:
        raise DlexpError(
            f"the scores of the exported networks differ by up to {largest:.3g}, but at most {allowed:.3g} is allowed "
            f"({tolerance:g} times 1 + the largest score). Nothing was written.",
            code="incompatible-weights",
        )


def stepwise_files(path: Path) -> list[Path]:
    """What is written."""
    return [path.with_suffix(suffix) for suffix in (".encoder.onnx", ".step.onnx", ".json")]


def refuse_other_formats(kind: str, with_preprocessing: bool, samples: object) -> None:
    """Raise ConfigError for what only single networks have."""
    rule = "is not supported for sequences that are put out token by token"
    if kind != "onnx":
        raise ConfigError.one("--to", kind, rule, "Use --to onnx", code="not-supported")
    for word, given in (("--with-preprocessing", with_preprocessing), ("--samples", samples)):
        if given:
            raise ConfigError.one(word, "", rule, f"Remove {word}", code="not-supported")


def _file(path: Path, part: Part) -> Path:
    return path.with_suffix(f".{part.name}.onnx")


def _described(part: Part) -> dict[str, Any]:
    """Inputs with their shapes, `any` for a free axis, and outputs by name."""
    free = part.signature.free
    inputs = {
        name: {
            "shape": ["any" if axis in free[name] else size for axis, size in enumerate(value.shape)],
            "dtype": str(value.dtype).removeprefix("torch."),
        }
        for name, value in part.example.items()
    }
    return {"inputs": inputs, "outputs": list(part.signature.outputs)}


def _differences(
    network: Encoding, files: tuple[list[Onnx], list[bytes]], given: Sequences, begin: int, most: int
) -> tuple[float, float, Tensor]:
    """The largest difference and the largest score over `most` tokens, chosen greedily; and the last scores (B, V)."""
    (encoder, step), (encoder_bytes, step_bytes) = files
    state = initial_state(network, given.values, given.lengths)
    read = encoder.answers(encoder_bytes, vars(given))
    largest = 0.0
    scale = 0.0
    tokens = torch.full((len(given),), begin)
    for _ in range(most):
        scores, state = network.step(tokens, state)
        answered = step.answers(step_bytes, {TOKENS: tokens, **read})
        read |= {name.removeprefix(NEXT): value for name, value in answered.items() if name != LOGITS}
        largest = max(largest, float((answered[LOGITS] - scores).abs().nan_to_num(torch.inf).max()))
        scale = max(scale, float(scores.abs().max()))
        tokens = scores.argmax(1)
    return largest, scale, scores
