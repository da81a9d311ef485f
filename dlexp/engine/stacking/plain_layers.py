"""The forward pass of K chains of plain layers, written as matrix products of all of them.

It computes what `torch.func.vmap` computes, in less than half the time for small networks: vmap takes operations apart.

Symbols: K members, B samples in a batch, C features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_Tensors = Mapping[str, Tensor]
_Layer = Callable[[Tensor, _Tensors, Iterator[Tensor]], Tensor]

_ELEMENTWISE = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.LogSigmoid,
)  # fmt: skip


class PlainLayers:
    """A chain of layers as functions (K, B, C) -> (K, B, C) of stacked parameters and buffers."""

    def __init__(self, layers: Sequence[_Layer]) -> None:
        self._layers = tuple(layers)

    @classmethod
    def of(cls, network: nn.Module) -> PlainLayers | None:
        """The layers of one of the members, None where one is of another kind: then vmap is needed."""
        found = _layers_of(network, "")
        return None if found is None else cls(found)

    def __call__(self, inputs: Tensor, tensors: _Tensors, masks: Sequence[Tensor]) -> Tensor:
        """The outputs (K, B, ...) of inputs (K, B, *shape).

        Args:
            inputs: Those of each member.
            tensors: Name -> parameter or buffer of all members (K, *shape). Running statistics are changed in place.
            masks: Those of `dropout.stacked_masks`, in the order of the layers.
        """
        values, given = inputs, iter(masks)
        for layer in self._layers:
            values = layer(values, tensors, given)
        return values


def _layers_of(network: nn.Module, prefix: str) -> list[_Layer] | None:
    """The functions of a layer, or of those within it; `prefix` is that of the names of its tensors."""
    if _is_watched(network):
        return None
    kind = type(network)
    if kind is nn.Sequential:
        found: list[_Layer] = []
        for name, part in network.named_children():
            own = _layers_of(part, f"{prefix}{name}.")
            if own is None:
                return None
            found += own
        return found
    if kind in _ELEMENTWISE:
        return [partial(_elementwise, network)]
    if isinstance(network, nn.Flatten) and kind is nn.Flatten and (network.start_dim, network.end_dim) == (1, -1):
        return [_flatten]
    if kind is nn.Linear:
        return [partial(_linear, f"{prefix}weight", f"{prefix}bias")]
    if isinstance(network, nn.Dropout) and kind is nn.Dropout:
        return [partial(_dropout, network)]
    if isinstance(network, nn.BatchNorm1d) and kind is nn.BatchNorm1d:
        is_usual = network.momentum is not None and network.track_running_stats
        return [partial(_batch_norm, network, prefix)] if is_usual else None
    return None


def _is_watched(layer: nn.Module) -> bool:
    """Whether something is called before or after the layer."""
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return any(hooks)


def _elementwise(layer: nn.Module, values: Tensor, tensors: _Tensors, masks: Iterator[Tensor]) -> Tensor:
    found: Tensor = layer(values)
    return found


def _flatten(values: Tensor, tensors: _Tensors, masks: Iterator[Tensor]) -> Tensor:
    return values.flatten(2)


def _linear(weight: str, bias: str, values: Tensor, tensors: _Tensors, masks: Iterator[Tensor]) -> Tensor:
    if values.dim() != 3:
        raise ValueError(f"its linear layer needs inputs (samples, features), got {tuple(values.shape[1:])}")
    turned = tensors[weight].transpose(1, 2)
    if bias not in tensors:
        return torch.bmm(values, turned)
    return torch.baddbmm(tensors[bias].unsqueeze(1), values, turned)


def _dropout(layer: nn.Dropout, values: Tensor, tensors: _Tensors, masks: Iterator[Tensor]) -> Tensor:
    if not layer.training:
        return values
    mask = next(masks, None)
    return F.dropout(values, layer.p) if mask is None else values * mask


def _batch_norm(
    layer: nn.BatchNorm1d, prefix: str, values: Tensor, tensors: _Tensors, masks: Iterator[Tensor]
) -> Tensor:
    """Features of all members beside each other, (B, K C), so that each is normalized as it is alone."""
    members, samples, features = values.shape
    flat = values.transpose(0, 1).reshape(samples, members * features)
    mean, variance = tensors[f"{prefix}running_mean"].view(-1), tensors[f"{prefix}running_var"].view(-1)
    scale, shift = tensors.get(f"{prefix}weight"), tensors.get(f"{prefix}bias")
    if layer.training:
        tensors[f"{prefix}num_batches_tracked"].add_(1)
    found = F.batch_norm(
        flat,
        mean,
        variance,
        None if scale is None else scale.view(-1),
        None if shift is None else shift.view(-1),
        layer.training,
        float(layer.momentum or 0.0),
        layer.eps,
    )
    return found.view(samples, members, features).transpose(0, 1)
