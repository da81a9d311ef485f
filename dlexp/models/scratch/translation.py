"""Networks of torch layers as networks of layers in NumPy, with the same weights under the same names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from dlexp.models.layers import StepActivation
from dlexp.models.scratch.bridge import bridged
from dlexp.scratch.activations import Elu, Identity, LeakyRelu, Relu, Sigmoid, Softmax, Step, Swish, Tanh
from dlexp.scratch.dense import Dense, Flatten
from dlexp.scratch.dropout import Dropout
from dlexp.scratch.layer import Layer
from dlexp.scratch.normalization import BatchNorm, LayerNorm

# A layer of torch -> its layer in NumPy, of the same sizes; its weights are those of torch's.
LAYERS: Mapping[type[nn.Module], Callable[[Any], Layer]] = {
    nn.Linear: lambda layer: Dense(layer.in_features, layer.out_features, layer.bias is not None),
    nn.Flatten: lambda layer: Flatten(),
    nn.Dropout: lambda layer: Dropout(layer.p),
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
