"""Networks of torch layers as networks of layers in NumPy, with the same weights under the same names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from dlexp.models.layers import ACTIVATIONS as OF_TORCH
from dlexp.models.layers import StepActivation
from dlexp.models.scratch.bridge import bridged
from dlexp.scratch.activations import Elu, Identity, LeakyRelu, Relu, Sigmoid, Softmax, Step, Swish, Tanh
from dlexp.scratch.dense import Dense, Flatten
from dlexp.scratch.dropout import Dropout
from dlexp.scratch.images.convolution import Conv2d
from dlexp.scratch.images.normalization import MapNorm
from dlexp.scratch.images.pooling import AveragePool2d, MaxPool2d
from dlexp.scratch.layer import Layer
from dlexp.scratch.normalization import BatchNorm, LayerNorm


def convolution(layer: nn.Conv2d) -> Conv2d:
    """A square convolution of torch. Raises ValueError for one with groups, gaps, no bias, or sides that differ."""
    padding = layer.padding if isinstance(layer.padding, str) else _side(layer.padding)
    if layer.groups != 1 or layer.dilation != (1, 1) or layer.bias is None or layer.padding_mode != "zeros":
        raise ValueError("a convolution in NumPy has a bias, no groups, no dilation, and zeros around the image")
    kernel, stride = _side(layer.kernel_size), _side(layer.stride)
    return Conv2d(layer.in_channels, layer.out_channels, kernel, stride=stride, padding=padding)


def map_norm(layer: nn.GroupNorm) -> MapNorm:
    """Normalization of all maps of a sample. Raises ValueError for more groups than one."""
    if layer.num_groups != 1:
        raise ValueError(f"a normalization of groups is written in NumPy for one group, got {layer.num_groups}")
    return MapNorm(layer.num_channels, layer.eps)


def _side(size: int | tuple[int, ...]) -> int:
    """The side of a square. Raises ValueError for another shape."""
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) > 1:
        raise ValueError(f"windows in NumPy are square, got {size}")
    return sides.pop()


# A layer of torch -> its layer in NumPy, of the same sizes; its weights are those of torch's.
LAYERS: Mapping[type[nn.Module], Callable[[Any], Layer]] = {
    nn.Linear: lambda layer: Dense(layer.in_features, layer.out_features, layer.bias is not None),
    nn.Flatten: lambda layer: Flatten(),
    nn.Dropout: lambda layer: Dropout(layer.p),
    nn.Conv2d: convolution,
    nn.MaxPool2d: lambda layer: MaxPool2d(_side(layer.kernel_size), _side(layer.stride)),
    nn.AvgPool2d: lambda layer: AveragePool2d(_side(layer.kernel_size), _side(layer.stride)),
    nn.GroupNorm: map_norm,
    nn.BatchNorm2d: lambda layer: BatchNorm(layer.num_features, layer.eps, layer.momentum),
    nn.BatchNorm1d: lambda layer: BatchNorm(layer.num_features, layer.eps, layer.momentum),
    nn.LayerNorm: lambda layer: LayerNorm(layer.normalized_shape[-1], layer.eps),
    nn.Identity: lambda layer: Identity(),
    StepActivation: lambda layer: Step(),
    nn.Sigmoid: lambda layer: Sigmoid(),
    nn.Tanh: lambda layer: Tanh(),
    nn.ReLU: lambda layer: Relu(),
    nn.LeakyReLU: lambda layer: LeakyRelu(layer.negative_slope),
    nn.ELU: lambda layer: Elu(layer.alpha),
    nn.SiLU: lambda layer: Swish(),
    nn.Softmax: lambda layer: Softmax(layer.dim),
}
# Names of activations that are written in NumPy.
ACTIVATIONS = tuple(name for name, made in OF_TORCH.items() if type(made()) in LAYERS)


def refuse_unwritten(*settings: tuple[str, str, Iterable[str]]) -> None:
    """Raise ValueError that names every value which NumPy has no layer for.

    Args:
        settings: Key, given value and the values that are written in NumPy, of each setting.
    """
    found = [
        f"{key}={given} is not written in NumPy; available: {', '.join(known)}"
        for key, given, known in settings
        if given not in known
    ]
    if found:
        raise ValueError(". ".join(found))


def in_numpy(network: nn.Module) -> nn.Module:
    """Return `network` with every layer computed in NumPy; the network itself is used up.

    Layers one after the other stay such, so that what looks between them still can.

    Args:
        network: A layer of torch, or a sequence of them.

    Raises ValueError for a layer that is not written in NumPy.
    """
    if type(network) is nn.Sequential:
        for name, part in network.named_children():
            network._modules[name] = in_numpy(part)
        return network
    if type(network) not in LAYERS:
        known = ", ".join(kind.__name__ for kind in LAYERS)
        raise ValueError(f"{type(network).__name__} is not written in NumPy; available: {known}")
    return bridged(LAYERS[type(network)](network), network)
