"""Distributions of weights and gradients of each parameter: initial, best and last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dlexp.networks.inspection.statistics import TensorStatistics, sampled_values
from dlexp.workflows.inspect.loaded_run import LoadedRun, gradients, named_parameters
from dlexp.workflows.inspect.request import InspectRequest

Figures = tuple[dict[str, Callable[[], bytes]], dict[str, Any]]
_SAMPLES = 256  # training samples of the gradient


def inspect_weights(loaded: LoadedRun, request: InspectRequest) -> Figures:
    """Two figures, and the numbers of each parameter; biases and parameters without a gradient are included.

    The gradients are those of the loss of training samples without augmentation, in evaluation mode. A parameter that
    is not trained, or that the loss does not depend on, has the gradient None.
    """
    versions: dict[str, nn.ModuleDict] = {request.checkpoint: loaded.experiment.networks}
    if loaded.initial is not None:
        versions = {"initial": loaded.initial, **versions}
    if loaded.last is not None:
        versions["last"] = loaded.last
    batch = next(loaded.batches("train", min(_SAMPLES, loaded.experiment.config.eval_batch_size)))
    weights: dict[str, dict[str, NDArray[np.float64]]] = {}
    slopes: dict[str, dict[str, NDArray[np.float64]]] = {}
    facts: dict[str, dict[str, Any]] = {}
    for version, networks in versions.items():
        found = gradients(loaded, networks, batch)
        for name, parameter in named_parameters(networks).items():
            facts.setdefault(name, {"shape": list(parameter.shape)})
            gradient = found.get(name)
            facts[name][version] = {
                "weight": vars(TensorStatistics.of(parameter)),
                "gradient": None if gradient is None else vars(TensorStatistics.of(gradient)),
                "trained": parameter.requires_grad,
            }
            weights.setdefault(name, {})[version] = sampled_values(parameter)
            if gradient is not None:
                slopes.setdefault(name, {})[version] = sampled_values(gradient)
    figures = {"weights": _picture("weights", weights, "weight")}
    if slopes:
        figures["gradients"] = _picture(f"gradients of the loss of {len(batch)} training samples", slopes, "gradient")
    return figures, {"samples": len(batch), "versions": list(versions), "parameters": facts}


def _picture(title: str, panels: dict[str, dict[str, NDArray[np.float64]]], label: str) -> Callable[[], bytes]:
    def draw() -> bytes:
        from dlexp.report.figures.inspection.distributions import distributions_png

        notes = {name: _spread(series) for name, series in panels.items()}
        return distributions_png(title, panels, label, notes)

    return draw


def _spread(series: dict[str, NDArray[np.float64]]) -> str:
    """The standard deviation of each version."""
    return "std " + ", ".join(f"{values.std():.2g}" if len(values) else "-" for values in series.values())
