"""Where an update that failed was not finite first: in the data, a layer, the loss, a gradient or a weight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from dlexp.engine.loop import Update
from dlexp.networks.inspection.outputs import innermost, layers_of, recording
from dlexp.networks.modes import kept_buffers
from dlexp.runtime.seed import kept_randomness
from dlexp.types import Batch, Field, Sequences


def locate_failure(update: Update) -> tuple[str, str]:
    """The place (data, weight, layer, loss, gradient or "") and the name of what was not finite first.

    The batches of the update go through the networks once more, as they are now; buffers and generators are put back.

    Args:
        update: The one that failed; its weights are those before it, unless they are not finite themselves.
    """
    networks, batches = update.state.networks, update.micro_batches
    for name, fields in (("inputs", [b.inputs for b in batches]), ("targets", [b.targets for b in batches])):
        if not all(_is_finite(tensor) for field in fields for tensor in _tensors(field)):
            return "data", name
    for name, weight in networks.named_parameters():
        if not _is_finite(weight):
            return "weight", name
    with kept_randomness(), kept_buffers(networks):
        for batch in batches:
            place = _in_batch(update, networks, batch)
            if place[0]:
                return place
    return "", ""


def _in_batch(update: Update, networks: nn.ModuleDict, batch: Batch) -> tuple[str, str]:
    bad: list[str] = []

    def receive(name: str, module: nn.Module, output: Tensor) -> None:
        if not bad and not _is_finite(output):
            bad.append(name)

    learned = {name: p for name, p in networks.named_parameters() if p.requires_grad}
    for phase in update.task.phases:
        with recording(innermost(layers_of(networks)), receive), update.rules.precision.autocast():
            value = update.task.loss(phase, dict(networks.items()), batch).value
        if bad and not _is_finite(value):
            return "layer", bad[0]
        if not _is_finite(value):
            return "loss", ""
        if not value.requires_grad:
            continue
        given = torch.autograd.grad(value, list(learned.values()), allow_unused=True)
        found = [name for name, g in zip(learned, given, strict=True) if g is not None and not _is_finite(g)]
        if found:
            return "gradient", found[-1]  # the backward pass comes from the end
    return "", ""


def _tensors(field: Field | None) -> Iterable[Tensor]:
    if field is None:
        return ()
    if isinstance(field, Sequences):
        return (field.values,)
    return field.values() if isinstance(field, Mapping) else (field,)


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor.detach().to_dense()).all())
