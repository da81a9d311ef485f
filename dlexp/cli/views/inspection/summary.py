"""The output of `dlexp summary`: a table of the layers of a model, and its memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from dlexp.cli.console import escape, out, table
from dlexp.kinds import describe_kind
from dlexp.report.figures.labels import cut

_MAX_NAME, _MAX_KIND, _MAX_SHAPE = 20, 14, 12  # 80 characters with two columns of numbers


def show(content: Mapping[str, Any], depth: int | None) -> None:
    """Print the layers of a model, combined by the first `depth` parts of their names."""
    rows = [
        [cut(name, _MAX_NAME, "end"), cut(kind, _MAX_KIND, "end"), shape, *numbers]
        for name, kind, shape, *numbers in (_row(name, group) for name, group in _grouped(content["layers"], depth))
    ]
    names = ["layer", "kind", "output", "parameters", "multiply-adds"]
    shape = " x ".join(map(str, content["input_shape"]))
    samples = f"sample shape {shape}" if shape else describe_kind(content["inputs"])
    title = f"{content['model']} on {content['data']}, {samples}"
    out.print(table(title, names, rows, numbers_from=3))
    memory = content["memory"]
    frozen = content["parameters"] - content["trainable_parameters"]
    out.print(f"\n  parameters     {content['parameters']:,}" + (f" ({frozen:,} frozen)" if frozen else ""))
    out.print(f"  multiply-adds  {content['multiply_adds']:,} per sample (forward)")
    out.print(f"  memory         weights {_size(memory['weights_bytes'])}")
    a_sample, a_batch = (_size(memory[f"outputs_of_a_{what}_bytes"]) for what in ("sample", "batch"))
    out.print(f"                 outputs {a_sample} per sample, {a_batch} per batch of {memory['batch_size']}")
    if content["init"]:
        out.print(f"  init           {escape(content['init'])}")


def _grouped(layers: Sequence[Mapping[str, Any]], depth: int | None) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Adjacent layers, grouped by their common name."""

    def name(layer: Mapping[str, Any]) -> str:
        return str(layer["name"]) if depth is None else ".".join(str(layer["name"]).split(".")[:depth])

    return [(key, list(group)) for key, group in groupby(layers, name)]


def _row(name: str, group: Sequence[Mapping[str, Any]]) -> list[str]:
    last = group[-1]
    kind = last["kind"] if len(group) == 1 else f"{len(group)} layers"
    shape = "x".join(map(str, last["shape"][1:])) or "-"
    sums = [sum(layer[key] for layer in group) for key in ("parameters", "multiply_adds")]
    return [name, str(kind), cut(shape, _MAX_SHAPE, "end"), *(f"{number:,}" if number else "-" for number in sums)]


def _size(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} GiB"
