"""The workflow `dlexp summary`: the layers of a model on its data, without training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from dlexp.assemble.experiment import Experiment
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import Split
from dlexp.models.initialization import described
from dlexp.networks.summary import Layer, summarize_layers
from dlexp.types import Batch
from dlexp.workflows.prepare.initial_weights import prepared


def summary(config: RunConfig, trusted: Sequence[str]) -> dict[str, Any]:
    """Layers, output shapes, parameters, multiply-adds of one sample, and memory in float32.

    Raises ConfigError and DataError as `dlexp train` would.
    """
    experiment = prepared(config, trusted)
    layers = _layers(experiment)
    held = [*experiment.networks.parameters(), *experiment.networks.buffers()]
    weights, outputs = sum(t.numel() * t.element_size() for t in held), sum(layer.output_bytes for layer in layers)
    return {
        "model": config.model.option,
        "data": config.data_name,
        "init": described(config.model.arguments),
        "inputs": experiment.bundle.spec.inputs.kind,
        "input_shape": list(experiment.bundle.spec.inputs.shape),
        "parameters": sum(p.numel() for p in experiment.networks.parameters()),
        "trainable_parameters": experiment.num_parameters,
        "multiply_adds": sum(layer.multiply_adds for layer in layers),
        "memory": {
            "weights_bytes": weights,
            "outputs_of_a_sample_bytes": outputs,
            "batch_size": config.batch_size,
            "outputs_of_a_batch_bytes": outputs * config.batch_size,
        },
        "layers": [vars(layer) | {"shape": list(layer.shape)} for layer in layers],
    }


def _layers(experiment: Experiment) -> list[Layer]:
    """The layers for one validation sample, on the meta device if the networks support it, otherwise computed."""
    batch = next(iter(experiment.split("val")))
    first = Split.in_memory(batch.inputs, batch.targets, batch.indices).select(torch.zeros(1, dtype=torch.int64))
    ((inputs, targets),) = first.read([slice(0, 1)])
    one = Batch(inputs, targets, batch.indices[:1])
    networks = experiment.networks.eval()
    shadow = copy.deepcopy(networks).to("meta")
    shadows = one.to(torch.device("meta"))
    try:
        found = _seen(experiment, shadow, shadows)
    except Exception:  # a network that requires values; the second attempt raises real errors
        found = _seen(experiment, networks, one)
    names = {layer.name.partition(".")[0] for layer in found}
    for layer in found:
        layer.name = layer.name.partition(".")[2] or layer.name if len(names) == 1 else layer.name
    return found


def _seen(experiment: Experiment, networks: nn.ModuleDict, batch: Batch) -> list[Layer]:
    with torch.no_grad():
        return summarize_layers(networks, lambda found: experiment.task.predict(dict(found.items()), batch))
