"""Distributions of classes, targets and inputs in each split.

Symbols: N samples, K classes, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import SPLITS
from dlexp.data.columns import tensor_of
from dlexp.data.tables.original_units import original_columns
from dlexp.networks.inspection.statistics import TensorStatistics, sampled_values
from dlexp.specs import ClassSpec, ImageSpec, TableSpec, ValueSpec
from dlexp.types import Batch, Field, Sequences, as_tensor
from dlexp.workflows.inspect.loaded_run import LoadedRun
from dlexp.workflows.inspect.request import InspectRequest

Figures = tuple[dict[str, Callable[[], bytes]], dict[str, Any]]
_Panels = dict[str, dict[str, NDArray[np.float64]]]


def inspect_data(loaded: LoadedRun, request: InspectRequest) -> Figures:
    """Figures of inputs as they reach the network (of tables, in their own units), of targets, and of classes."""
    bundle = loaded.experiment.bundle
    splits = [name for name in SPLITS if len(bundle.splits[name])]
    inputs: _Panels = {}
    targets: _Panels = {}
    counts: dict[str, NDArray[np.int64]] = {}
    facts: dict[str, Any] = {}
    for split in splits:
        batches = list(loaded.batches(split, request.samples))
        facts[split] = {"samples": len(bundle.splits[split]), "inputs": _input_facts(batches)}
        for name, values in _input_panels(loaded, split, batches).items():
            inputs.setdefault(name, {})[split] = values
        spec = bundle.spec.targets
        learned = bundle.splits[split].targets
        if isinstance(spec, ClassSpec):
            numbers = tensor_of(learned).long().cpu()
            counts[split] = torch.bincount(numbers[numbers >= 0], minlength=len(spec.names)).numpy()
            facts[split] |= _class_facts(spec.names, counts[split])
        elif isinstance(spec, ValueSpec):
            for number, name in enumerate(spec.names):
                column = tensor_of(learned)[:, number].double()
                targets.setdefault(f"{name} (target)", {})[split] = sampled_values(column)
                facts[split].setdefault("targets", {})[name] = vars(TensorStatistics.of(column))
    figures = {"data_inputs": _picture("inputs", targets | inputs, "value")} if targets or inputs else {}
    if counts and isinstance(bundle.spec.targets, ClassSpec):
        names = bundle.spec.targets.names

        def classes() -> bytes:
            from dlexp.report.figures.inspection.distributions import classes_png

            return classes_png(f"classes of data={loaded.experiment.config.data_name}", names, counts)

        figures["data_classes"] = classes
    return figures, facts


def _class_facts(names: tuple[str, ...], counts: NDArray[np.int64]) -> dict[str, Any]:
    ratio = None if not len(counts) or not counts.min() else float(counts.max() / counts.min())
    return {"classes": dict(zip(names, counts.tolist(), strict=True)), "imbalance": ratio}


def _tensors(given: Field) -> dict[str, Tensor]:
    """The own values of inputs of any kind, padding left out, by name."""
    if isinstance(given, Tensor):
        return {"inputs": given}
    if isinstance(given, Sequences):
        return {"inputs": given.values[given.mask]}
    return dict(given)


def _input_facts(batches: list[Batch]) -> dict[str, Any]:
    """Statistics of all numbers that reach the network, with NaN and infinities counted."""
    found = [_tensors(batch.inputs) for batch in batches]
    names = found[0] if found else {}
    return {name: vars(TensorStatistics.of(torch.cat([one[name].flatten() for one in found]))) for name in names}


def _input_panels(loaded: LoadedRun, split: str, batches: list[Batch]) -> dict[str, NDArray[np.float64]]:
    bundle = loaded.experiment.bundle
    if isinstance(bundle.spec.inputs, TableSpec):
        columns = original_columns(tensor_of(bundle.splits[split].inputs).flatten(1).numpy(), bundle.preprocessing)
        return {name: _numbers(cells) for name, cells in columns.items() if not isinstance(cells, list)}
    if isinstance(bundle.spec.inputs, ImageSpec):
        pixels = torch.cat([as_tensor(batch.inputs) for batch in batches])
        return {f"pixels of channel {n}": sampled_values(pixels[:, n]) for n in range(pixels.shape[1])} | {
            f"mean of an image, channel {n}": sampled_values(pixels[:, n].double().mean(dim=(1, 2)))
            for n in range(pixels.shape[1])
        }
    found: dict[str, list[Tensor]] = {}
    for batch in batches:
        for name, values in _tensors(batch.inputs).items():
            found.setdefault("token ids" if not values.is_floating_point() else name, []).append(values.flatten())
        if isinstance(batch.inputs, Sequences):
            found.setdefault("lengths", []).append(batch.inputs.lengths)
    return {name: sampled_values(torch.cat(parts)) for name, parts in found.items()}


def _numbers(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    return cells[np.isfinite(cells)]


def _picture(title: str, panels: _Panels, label: str) -> Callable[[], bytes]:
    def draw() -> bytes:
        from dlexp.report.figures.inspection.distributions import distributions_png

        return distributions_png(f"{title} of each split", panels, label, {})

    return draw
