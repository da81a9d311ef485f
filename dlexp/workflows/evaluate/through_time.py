"""How far back the gradient of a recurrent network reaches, as a table and a figure of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from dlexp.assemble.experiment import Experiment
from dlexp.metrics.reports.figures import Lines
from dlexp.metrics.reports.report import Report, Table
from dlexp.models.recurrent.layers import recorded_states
from dlexp.models.recurrent.network import RecurrentNetwork
from dlexp.models.scratch.bridge import layer_by_layer
from dlexp.networks.gradient_through_time import gradient_by_distance, reach
from dlexp.types import Batch, Sequences, select

NAME = "gradient_through_time"
_SAMPLES = 32  # of the split that stand for all
_CAPTION = (
    "How far back the gradient reaches: the norm of the derivative of the loss by the state of each layer, by the "
    "number of positions before the last one, a mean over the first {count} samples of the {{split}} split."
)


def with_gradient_through_time(report: Report, experiment: Experiment, split: str) -> Report:
    """`report` with the table and the figure; as it is for other networks than recurrent ones with one output.

    The network is not changed: no gradient is kept, and its layers run step by step in evaluation mode.
    """
    networks = layer_by_layer(experiment.networks)
    network = next((m for m in networks.modules() if isinstance(m, RecurrentNetwork)), None)
    if network is None or network.pooling is None:
        return report
    batch = _first(next(iter(experiment.split(split))))
    if not isinstance(batch.inputs, Sequences) or not int(batch.inputs.lengths.max()):
        return report
    was_training = networks.training
    networks.eval()
    with torch.enable_grad(), recorded_states() as directions:
        loss = experiment.task.loss("train", dict(networks.items()), batch).value
    networks.train(was_training)
    if not loss.requires_grad:  # every layer in front of the states is frozen, and so is what is behind them
        return report
    last = len(directions) - 1
    norms = [gradient_by_distance(loss, states, batch.inputs.lengths, keeps_graph=number < last)
             for number, states in enumerate(directions)]  # fmt: skip
    labels = _labels(len(norms), network)
    return _extended(report, labels, [one.numpy() for one in norms], [reach(one) for one in norms], len(batch))


def _first(batch: Batch) -> Batch:
    chosen = torch.arange(min(_SAMPLES, len(batch)), device=batch.indices.device)
    targets = None if batch.targets is None else select(batch.targets, chosen)
    return Batch(select(batch.inputs, chosen), targets, batch.indices[chosen])


def _labels(count: int, network: RecurrentNetwork) -> list[str]:
    """Of each direction in the order in which they run."""
    layers = len(network.layers)
    if count == layers:
        return [f"layer {number + 1}" for number in range(layers)]
    return [f"layer {number // 2 + 1} {('forward', 'backward')[number % 2]}" for number in range(count)]


def _extended(
    report: Report, labels: Sequence[str], norms: Sequence[np.ndarray], reached: Sequence[int], count: int
) -> Report:
    caption = _CAPTION.format(count=count)
    places = np.arange(len(norms[0]), dtype=np.float64)
    rows = [[int(place), *(float(one[row]) for one in norms)] for row, place in enumerate(places)]
    lines = {}
    for label, one in zip(labels, norms, strict=True):
        kept = np.isfinite(one) & (one > 0)
        lines[label] = (places[kept], np.log10(one[kept]))
    figure = Lines(caption, "positions before the last one", "log10 of the norm of the gradient", lines)
    return replace(
        report,
        tables={**report.tables, NAME: Table(("distance", *labels), rows)},
        figures={**report.figures, NAME: figure} if any(len(x) for x, _ in lines.values()) else report.figures,
        facts={**report.facts, NAME: {label: {"reach": far} for label, far in zip(labels, reached, strict=True)}},
    )
