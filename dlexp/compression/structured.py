"""Channels removed by the norm of the weights that make them (Li et al. 2017, arXiv:1608.08710).

Symbols: C channels of an axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dlexp.compression.axes import Axis, ChannelGraph, Segment
from dlexp.compression.layers import keep

_LEAST_KEPT = 0.1  # of each axis, where channels of all layers compete


def remove_channels(network: nn.Module, graph: ChannelGraph, share: float, scope: str, norm: str) -> dict[str, int]:
    """Remove a share of the channels of a network, in place.

    Args:
        network: The network that `graph` was made of.
        graph: Its channels.
        share: Share of the channels that go, in (0, 1).
        scope: layer: the same share of each axis; global: the smallest of all, whose norms are divided by the mean of
            their axis; each axis keeps a tenth and at least one channel.
        norm: l1 or l2, of the weights of a channel, divided by their number or its root.

    Returns:
        Layer that makes channels -> how many of them went.
    """
    removable = graph.removable()
    scores = {axis: _scores(network, makers, norm) for axis, makers in removable.items()}
    counts = _counts(scores, share, scope)
    kept = {axis: _best(scores[axis], counts[axis], axis.chunks) for axis in removable}
    for name in {**graph.outputs, **graph.inputs}:
        inputs, outputs = graph.inputs.get(name), graph.outputs.get(name)
        keep(network, name, _numbers(inputs, kept), _numbers(outputs, kept))
    return {name: axis.size - len(kept[axis]) for axis, makers in removable.items() for name in makers}


def _scores(network: nn.Module, makers: Sequence[str], norm: str) -> Tensor:
    """(C,): the norm of the weights of each channel, mean over the layers that make it."""
    found = []
    for name in makers:
        weight = network.get_submodule(name).weight
        assert isinstance(weight, Tensor)
        rows = weight.detach().float().flatten(1)
        found.append(rows.abs().mean(1) if norm == "l1" else rows.square().mean(1).sqrt())
    return torch.stack(found).mean(0).cpu()


def _counts(scores: Mapping[Axis, Tensor], share: float, scope: str) -> dict[Axis, int]:
    """How many channels of each axis stay."""
    if scope == "layer":
        wanted = {axis: axis.size * (1 - share) for axis in scores}
    else:
        relative = {axis: values / values.mean().clamp_min(1e-30) for axis, values in scores.items()}
        every = torch.cat(list(relative.values())).sort(stable=True).values
        threshold = every[min(len(every) - 1, round(share * len(every)))]
        wanted = {axis: max(float((v >= threshold).sum()), _LEAST_KEPT * axis.size) for axis, v in relative.items()}
    return {axis: _whole(number, axis) for axis, number in wanted.items()}


def _whole(number: float, axis: Axis) -> int:
    """The nearest number of channels that every chunk has as many of, at least one."""
    return min(axis.size, max(1, round(number / axis.chunks)) * axis.chunks)


def _best(scores: Tensor, count: int, chunks: int) -> Tensor:
    """The numbers of the `count` channels of the largest scores, as many of each chunk, in their order."""
    rows = scores.reshape(chunks, -1)
    order = rows.sort(dim=1, descending=True, stable=True).indices[:, : count // chunks]
    first = torch.arange(chunks)[:, None] * rows.shape[1]
    return (order + first).flatten().sort().values


def _numbers(segments: Sequence[Segment] | None, kept: Mapping[Axis, Tensor]) -> Tensor | None:
    """The numbers of the inputs or outputs that stay, None for all of them."""
    if segments is None or not any(axis.root() in kept for axis, _ in segments):
        return None
    found, begin = [], 0
    for axis, block in segments:
        channels = kept.get(axis.root(), torch.arange(axis.size))
        found.append(begin + (channels[:, None] * block + torch.arange(block)).flatten())
        begin += axis.size * block
    return torch.cat(found)
