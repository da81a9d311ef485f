"""Activation checkpointing: a block stores only its input, and recomputes its activations in the backward pass.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv:1604.06174), with torch's non-reentrant
`torch.utils.checkpoint`. The gradients are bitwise those without checkpointing: the same random numbers are drawn
again, and running statistics are updated once. Modules, parameters and buffers keep their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.utils.checkpoint import checkpoint

from dlexp.errors import ConfigError

_KEY = "trainer.checkpoint_activations"
_LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)  # exact types: a subclass is a block


def recompute_activations(networks: nn.ModuleDict) -> int:
    """Make the blocks of `networks` recompute their activations; returns the number of blocks.

    A block is an item of a list of blocks (residual blocks, transformer layers); in a network without such lists, the
    layers of a sequence from one layer with weights to the next. Raises ConfigError if there is no block, or if one
    has spectral normalization, whose state changes in every forward pass.
    """
    blocks = [block for network in networks.values() for block in _blocks(network)]
    sequences = [] if blocks else [found for network in networks.values() for found in _sequences(network)]
    if not blocks and not sequences:
        rule = "not supported with this network, which has no list of blocks and no sequence of layers"
        raise ConfigError.one(
            _KEY, "true", rule, "Set it to false. A smaller data.batch_size also saves memory.", code="not-supported"
        )
    for part in (*blocks, *sequences):
        _refuse_spectral_norm(part)
    for block in blocks:
        block.__dict__["forward"] = _Recomputed(block)
    for sequence in sequences:
        sequence.__dict__["forward"] = _RecomputedSequence(sequence)
    return len(blocks) + sum(len(_segments(sequence)) for sequence in sequences)


class _Recomputed:
    """The forward pass of a checkpointed block; copied with the module."""

    def __init__(self, block: nn.Module) -> None:
        self._block = block

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _run([self._block], partial(type(self._block).forward, self._block), *args, **kwargs)


class _RecomputedSequence:
    """The forward pass of a sequence whose segments are checkpointed."""

    def __init__(self, sequence: nn.Sequential) -> None:
        self._sequence = sequence

    def __call__(self, value: Any) -> Any:
        for segment in _segments(self._sequence):
            value = _run(segment, partial(_through, segment), value)
        return value


def _run(modules: list[nn.Module], forward: Any, *args: Any, **kwargs: Any) -> Any:
    """`forward(*args, **kwargs)`, checkpointed if gradients are enabled."""
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    context = partial(_contexts, modules)
    return checkpoint(forward, *args, use_reentrant=False, context_fn=context, **kwargs)


def _contexts(modules: list[nn.Module]) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """The contexts of the first forward pass and of the recomputation."""
    return nullcontext(), _frozen_statistics(modules)


@contextmanager
def _frozen_statistics(modules: list[nn.Module]) -> Iterator[None]:
    """Run batch and instance normalization in training mode on copies of their running statistics."""
    norms = [m for part in modules for m in part.modules() if isinstance(m, _NormBase) and m.track_running_stats]
    saved = [(norm, dict(norm._buffers)) for norm in norms]
    for norm, buffers in saved:
        norm._buffers.update({name: None if own is None else own.clone() for name, own in buffers.items()})
    try:
        yield
    finally:
        for norm, buffers in saved:
            norm._buffers.update(buffers)


def _blocks(network: nn.Module) -> list[nn.Module]:
    """Items of the innermost lists with at least two blocks: modules of several layers, with weights."""
    found: list[nn.Module] = []
    for module in network.modules():
        items = _composite(module)
        if len(items) >= 2 and not any(_holds_list(item) for item in items):
            found += items
    return found


def _holds_list(block: nn.Module) -> bool:
    return any(len(_composite(module)) >= 2 for module in block.modules())


def _composite(module: nn.Module) -> list[nn.Module]:
    """The items of a list that are blocks; [] for other modules."""
    if type(module) not in _LISTS:
        return []
    return [
        item
        for item in module.children()
        if type(item) not in _LISTS and next(item.children(), None) is not None and _has_weights(item)
    ]


def _sequences(network: nn.Module) -> list[nn.Sequential]:
    """Sequences of plain layers with at least two segments."""
    return [
        module
        for module in network.modules()
        if type(module) is nn.Sequential
        and not any(type(item) in _LISTS for item in module)
        and len(_segments(module)) >= 2
    ]


def _segments(sequence: nn.Sequential) -> list[list[nn.Module]]:
    """The layers from one with a weight matrix to the next; those before the first belong to its segment."""
    segments: list[list[nn.Module]] = [[]]
    for layer in sequence:
        if _multiplies(layer) and any(_multiplies(before) for before in segments[-1]):
            segments.append([])
        segments[-1].append(layer)
    return segments


def _multiplies(layer: nn.Module) -> bool:
    """Return whether a layer has a weight of two or more dimensions, unlike a norm."""
    return any(parameter.dim() >= 2 for parameter in layer.parameters())


def _has_weights(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _through(layers: list[nn.Module], value: Any) -> Any:
    for layer in layers:
        value = layer(value)
    return value


def _refuse_spectral_norm(part: nn.Module) -> None:
    """Raise ConfigError for spectral normalization: every forward pass updates its estimate of the singular vectors."""
    for module in part.modules():
        hooks = module._forward_pre_hooks.values()
        if isinstance(module, _SpectralNorm) or any(isinstance(hook, SpectralNorm) for hook in hooks):
            rule = "not supported with spectral normalization, whose state changes in every forward pass"
            raise ConfigError.one(_KEY, "true", rule, "Set it to false.", code="not-supported")
