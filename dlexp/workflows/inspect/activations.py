"""Distributions of the outputs of each layer and activation, with saturated and dead units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from dlexp.diagnosis.measures.activations import ActivationUnits
from dlexp.networks.inspection.activations import watched_activations
from dlexp.networks.inspection.outputs import innermost, layers_of, recording
from dlexp.networks.inspection.statistics import ActivationStatistics
from dlexp.types import Batch, Sequences
from dlexp.workflows.inspect.loaded_run import LoadedRun
from dlexp.workflows.inspect.request import InspectRequest

Figures = tuple[dict[str, Callable[[], bytes]], dict[str, Any]]


def inspect_activations(loaded: LoadedRun, request: InspectRequest) -> Figures:
    """A figure of all layers, and their numbers; padded positions of sequences are left out."""
    networks = loaded.experiment.networks
    layers = innermost(layers_of(networks))
    statistics, units = ActivationStatistics(), ActivationUnits()
    current: list[Batch] = []

    def receive(name: str, module: nn.Module, output: Tensor) -> None:
        statistics.add(name, type(module).__name__, output, _mask(current[-1]) if current else None)

    def noted() -> Any:
        for batch in loaded.batches(request.split, request.samples):
            current[:] = [batch]
            yield batch

    count = 0
    with recording(layers, receive), watched_activations(networks) as calls:
        for batch in loaded.compute(noted()):
            count += len(batch)
            units.add(calls, batch)
            for call in calls:
                if call.place not in layers and call.slope is not None:  # a function, of which no module tells
                    statistics.add(call.place, call.function, call.output, _mask(batch))
            calls.clear()
    nothing = {"saturated": None, "units": None, "dead_units": None}
    facts = {name: {**layer.as_dict(), **nothing} for name, layer in statistics.layers.items()}
    for found in units.measures():
        if found.place in facts and found.units:
            facts[found.place] |= {
                "saturated": found.saturated,
                "units": found.units,
                "dead_units": found.dead + found.constant,
            }
    panels = {name: {"": np.concatenate(layer.values)} for name, layer in statistics.layers.items()}
    notes = {name: _note(each) for name, each in facts.items()}

    def draw() -> bytes:
        from dlexp.report.figures.inspection.distributions import distributions_png

        title = f"outputs of each layer, {count} samples of {request.split}"
        return distributions_png(title, panels, "output", notes)

    return {"activations": draw}, {"samples": count, "layers": facts}


def _mask(batch: Batch) -> Tensor | None:
    return batch.inputs.mask if isinstance(batch.inputs, Sequences) else None


def _note(facts: Mapping[str, Any]) -> str:
    """What is worth knowing of a layer, in a few words."""
    parts = [str(facts["kind"])]
    if facts["dead_units"] is not None:
        parts.append(f"{facts['dead_units']} of {facts['units']} dead")
    if facts["saturated"] is not None:
        parts.append(f"{100 * facts['saturated']:.0f} % saturated")
    if facts["not_finite"]:
        parts.append(f"{facts['not_finite']} not finite")
    return ", ".join(parts)
