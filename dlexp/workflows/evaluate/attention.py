"""Where a network with attention looks in a few samples, as figures of an evaluation.

Symbols: K samples, T positions, Q and S the positions of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from dlexp.assemble.experiment import Experiment
from dlexp.metrics.reports.figures import AttentionMaps
from dlexp.metrics.reports.report import Report
from dlexp.sequence_specs import TokenSpec
from dlexp.types import Batch, Sequences, select

_SAMPLES = 3
_FIRST = "(first)"  # the position that some encoders put in front of a sequence
_CAPTION = "Where each head looks in sample {number} of the {{split}} split: rows sum to 1."


def with_attention_maps(report: Report, experiment: Experiment, split: str) -> Report:
    """`report` with the maps of the first samples; as it is where it has some, or where the network has no attention.

    The network is run once in evaluation mode, and is not changed.
    """
    network = next((m for m in experiment.networks.modules() if hasattr(m, "attention_maps")), None)
    if network is None or any(isinstance(each, AttentionMaps) for each in report.figures.values()):
        return report
    batch = _first(next(iter(experiment.split(split))))
    if batch is None or not isinstance(batch.inputs, Sequences):
        return report
    given = _arguments(experiment, network, batch)
    if len(given) != 2:  # it does not read sequences, or reads a target too
        return report
    with torch.no_grad():
        maps = cast(Callable[..., Mapping[str, Tensor]], network.attention_maps)(*given)
    figures = {}
    for place, index in enumerate(batch.indices.tolist()):
        length = int(batch.inputs.lengths[place])
        names = _names(experiment, batch.inputs.values[place, :length])
        own = {}
        for name, weights in maps.items():
            more = weights.shape[-1] - batch.inputs.values.shape[1]  # positions in front
            rows = slice(0, length + more if weights.shape[-2] > 1 else 1)
            own[name] = weights[place, :, rows, : length + more].float().cpu().numpy()
        shown = [_FIRST] * (max((each.shape[-1] for each in own.values()), default=length) - length) + names
        if own and length:
            target = shown if max(each.shape[-2] for each in own.values()) > 1 else ["pooled"]
            figures[f"attention-{place + 1}"] = AttentionMaps(_CAPTION.format(number=index), shown, target, own)
    return replace(report, figures={**report.figures, **figures})


def _first(batch: Batch) -> Batch | None:
    """The first samples that have a position; None where there are none."""
    if not isinstance(batch.inputs, Sequences):
        return None
    chosen = (batch.inputs.lengths > 0).nonzero().flatten()[:_SAMPLES].to(batch.indices.device)
    if not len(chosen):
        return None
    targets = None if batch.targets is None else select(batch.targets, chosen)
    return Batch(select(batch.inputs, chosen), targets, batch.indices[chosen])


def _arguments(experiment: Experiment, network: nn.Module, batch: Batch) -> tuple[Any, ...]:
    """What `network`, which may be part of another one, is called with in a prediction; () where it is not called."""
    seen: list[tuple[Any, ...]] = []
    hook = network.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
    was_training = experiment.networks.training
    experiment.networks.eval()
    try:
        with torch.no_grad():
            experiment.task.predict(dict(experiment.networks.items()), batch)
    finally:
        hook.remove()
        experiment.networks.train(was_training)
    return seen[0] if seen else ()


def _names(experiment: Experiment, values: Tensor) -> list[str]:
    """The tokens of a sample (T,), or the numbers of its steps."""
    inputs = experiment.bundle.spec.inputs
    if values.dim() > 1:
        return [str(step + 1) for step in range(len(values))]
    vocabulary = inputs.vocabulary if isinstance(inputs, TokenSpec) else None
    if vocabulary is None:
        return [str(number) for number in values.tolist()]
    return [vocabulary.decode([number]) for number in values.tolist()]
