"""What runs must have in common to form a stack."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch import Tensor, nn

from dlexp.engine.loop import Update
from dlexp.types import Batch

_PLAIN = (int, float, str, bool, type(None), tuple)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


def network_signature(update: Update) -> Hashable:
    """Layers, parameters and buffers of a run's networks, its phases, number format and batches.

    Numbers that layers have, such as a slope, must be the same, but not the probabilities of dropout.
    """
    networks = update.state.networks
    layers = tuple((name, type(layer), _settings(layer)) for name, layer in networks.named_modules())
    parameters = tuple((n, tuple(p.shape), p.dtype, p.device, p.requires_grad) for n, p in networks.named_parameters())
    buffers = tuple((n, tuple(b.shape), b.dtype) for n, b in networks.named_buffers())
    phases = tuple(update.task.phases)
    return layers, parameters, buffers, phases, update.rules.precision.name, batch_signature(update)


def batch_signature(update: Update) -> Hashable:
    """The shapes of the inputs of an update's micro batches."""
    return tuple(_shape(batch) for batch in update.micro_batches)


def _shape(batch: Batch) -> Hashable:
    inputs = batch.inputs
    if isinstance(inputs, Tensor):
        return tuple(inputs.shape), inputs.dtype
    if isinstance(inputs, dict):
        return tuple((name, tuple(value.shape), value.dtype) for name, value in inputs.items())
    return len(batch)


def _settings(layer: nn.Module) -> Hashable:
    """The plain attributes of a layer, by name."""
    skipped = {"p"} if isinstance(layer, _DROPOUTS) else set[str]()
    return tuple((name, _plain(value)) for name, value in sorted(vars(layer).items()) if name not in skipped)


def _plain(value: Any) -> Hashable:
    """A value that can be compared, or the type of one that cannot."""
    if isinstance(value, tuple | list):
        return tuple(_plain(item) for item in value)
    if isinstance(value, _PLAIN):
        return value
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return type(value).__qualname__
