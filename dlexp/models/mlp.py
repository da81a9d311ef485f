"""Multilayer perceptron.

Symbols: B batch, F features of one sample once flattened, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from dlexp.models.layers import activation as activation_of
from dlexp.models.layers import norm_1d

__all__ = ["mlp"]


def mlp(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    hidden: Sequence[int] = (256, 128),
    activation: str = "relu",
    norm: str = "none",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Fully connected layers: (B, *input_shape) -> (B, O) logits or values.

    Each hidden layer is Linear, normalisation, activation, dropout; the last layer is Linear alone.

    hidden   units of each hidden layer; () is a linear model
    norm     none, batch or layer
    dropout  chance in [0, 1) that a hidden unit is zeroed while training
    """
    widths = [prod(input_shape), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), *norm_1d(norm, fan_out), activation_of(activation)]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(widths[-1], num_outputs))
