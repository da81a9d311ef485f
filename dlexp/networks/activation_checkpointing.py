"""Activation checkpointing: a block keeps its input alone, and computes the rest again in the backward pass.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv:1604.06174), by torch's non-reentrant
`torch.utils.checkpoint`. The gradients have the bits of a network that keeps everything: random numbers are drawn again
as they were, and running statistics are updated once. Modules, parameters and buffers keep their names.
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
_LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)  # these alone: a subclass is a block of its own


def recompute_activations(networks: nn.ModuleDict) -> int:
    """Let the blocks of `networks` compute their activations again; returns how many blocks that are.

    A block is an item of a list of blocks (residual blocks, transformer layers); in a network without such lists, the
    layers of a sequence from one layer with weights to the next. Raises ConfigError when there is none, or when one
    changes in a forward pass in a way that a second one would repeat.
    """
    blocks = [block for network in networks.values() for block in _blocks(network)]
    sequences = [] if blocks else [found for network in networks.values() for found in _sequences(network)]
    if not blocks and not sequences:
        rule = "this network has no list of blocks and no sequence of layers to compute again piece by piece"
        raise ConfigError.one(
            _KEY, "true", rule, "leave it false; a smaller data.batch_size saves memory too", code="not-supported"
        )
    for part in (*blocks, *sequences):
        _refuse_spectral_norm(part)
    for block in blocks:
        block.__dict__["forward"] = _Recomputed(block)
    for sequence in sequences:
        sequence.__dict__["forward"] = _RecomputedSequence(sequence)
    return len(blocks) + sum(len(_segments(sequence)) for sequence in sequences)


class _Recomputed:
    """The forward pass of a block that keeps its input alone. A copy of the module has a copy of this."""

    def __init__(self, block: nn.Module) -> None:
        self._block = block

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _run([self._block], partial(type(self._block).forward, self._block), *args, **kwargs)


class _RecomputedSequence:
    """The forward pass of a sequence that keeps the input of each of its segments."""

    def __init__(self, sequence: nn.Sequential) -> None:
        self._sequence = sequence

    def __call__(self, value: Any) -> Any:
        for segment in _segments(self._sequence):
            value = _run(segment, partial(_through, segment), value)
        return value


def _run(modules: list[nn.Module], forward: Any, *args: Any, **kwargs: Any) -> Any:
    """`forward(*args, **kwargs)`, checkpointed where a gradient will be asked for."""
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    context = partial(_contexts, modules)
    return checkpoint(forward, *args, use_reentrant=False, context_fn=context, **kwargs)


def _contexts(modules: list[nn.Module]) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """What surrounds the first forward pass, and the second."""
    return nullcontext(), _statistics_kept(modules)


@contextmanager
def _statistics_kept(modules: list[nn.Module]) -> Iterator[None]:
    """Batch and instance normalisation as in training, their running statistics being copies meanwhile."""
    norms = [m for part in modules for m in part.modules() if isinstance(m, _NormBase) and m.track_running_stats]
    kept = [(norm, dict(norm._buffers)) for norm in norms]
    for norm, buffers in kept:
        norm._buffers.update({name: None if own is None else own.clone() for name, own in buffers.items()})
    try:
        yield
    finally:
        for norm, buffers in kept:
            norm._buffers.update(buffers)


def _blocks(network: nn.Module) -> list[nn.Module]:
    """Items of the innermost lists that hold at least two blocks: modules of several layers, with weights."""
    found: list[nn.Module] = []
    for module in network.modules():
        items = _composite(module)
        if len(items) >= 2 and not any(_holds_list(item) for item in items):
            found += items
    return found


def _holds_list(block: nn.Module) -> bool:
    return any(len(_composite(module)) >= 2 for module in block.modules())


def _composite(module: nn.Module) -> list[nn.Module]:
    """The items of a list that are blocks; of anything else none."""
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
    """The layers from one that multiplies to the next; what stands before the first belongs to it."""
    segments: list[list[nn.Module]] = [[]]
    for layer in sequence:
        if _multiplies(layer) and any(_multiplies(before) for before in segments[-1]):
            segments.append([])
        segments[-1].append(layer)
    return segments


def _multiplies(layer: nn.Module) -> bool:
    """Whether it has a weight of two dimensions or more: a norm has none."""
    return any(parameter.dim() >= 2 for parameter in layer.parameters())


def _has_weights(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _through(layers: list[nn.Module], value: Any) -> Any:
    for layer in layers:
        value = layer(value)
    return value


def _refuse_spectral_norm(part: nn.Module) -> None:
    """Each forward pass moves its estimate of the singular vectors: a second one would come to other weights."""
    for module in part.modules():
        hooks = module._forward_pre_hooks.values()
        if isinstance(module, _SpectralNorm) or any(isinstance(hook, SpectralNorm) for hook in hooks):
            rule = "spectral normalisation changes with every forward pass, and a second one would not be the first"
            raise ConfigError.one(_KEY, "true", rule, "leave it false", code="not-supported")
