"""Which parameters are decayed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)


def weights_of(networks: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The trainable parameters that are neither biases nor part of a normalisation layer."""
    spared = {id(parameter) for network in networks for parameter in _norms_and_biases(network)}
    return [p for network in networks for p in network.parameters() if p.requires_grad and id(p) not in spared]


def parameter_groups(networks: list[nn.Module], decay_norms_and_biases: bool) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: weights as configured, norms and biases without decay unless asked.

    Raises ValueError when nothing is trainable.
    """
    everything = [p for network in networks for p in network.parameters() if p.requires_grad]
    if not everything:
        raise ValueError("the model has no trainable parameter")
    if decay_norms_and_biases:
        return [{"params": everything}]
    weights = weights_of(networks)
    chosen = {id(parameter) for parameter in weights}
    spared = [p for p in everything if id(p) not in chosen]
    groups: list[dict[str, Any]] = [{"params": weights}] if weights else []
    return groups + ([{"params": spared, "weight_decay": 0.0}] if spared else [])


def _norms_and_biases(network: nn.Module) -> Iterable[nn.Parameter]:
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, _NORMS) or "bias" in name:
                yield parameter
