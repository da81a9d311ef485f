"""Perceptron and multilayer perceptron.

Symbols: B batch, F features of one sample once flattened, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from dlexp.models.initialization import initialized
from dlexp.models.layers import activation as activation_of
from dlexp.models.layers import dropout as dropout_of
from dlexp.models.layers import norm_1d, ordered, refuse_alpha_without_selu

__all__ = ["mlp", "perceptron"]


def perceptron(*, input_shape: tuple[int, ...], num_outputs: int, init: str = "default") -> nn.Sequential:
    """One linear layer (Rosenblatt 1958, as the unit of a logistic regression): (B, *input_shape) -> (B, O) logits.

    The probability is made by the task, which also draws the threshold at one half.
    """
    layers = nn.Sequential(nn.Flatten(), nn.Linear(prod(input_shape), num_outputs))
    return initialized(layers, init, "identity")


def mlp(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    hidden: Sequence[int] = (256, 128),
    activation: str = "relu",
    norm: str = "none",
    norm_place: str = "before",
    dropout: float = 0.0,
    dropout_kind: str = "unit",
    init: str = "default",
) -> nn.Sequential:
    """Fully connected layers: (B, *input_shape) -> (B, O) logits or values.

    Each hidden layer is Linear, normalisation, activation, dropout; the last layer is Linear alone.

    hidden        units of each hidden layer; () is a linear model
    norm          none, batch, layer, group or rms
    norm_place    before the activation, or after it
    dropout       chance in [0, 1) that a hidden unit is zeroed while training
    dropout_kind  unit, or alpha, which belongs to activation=selu without normalisation (Klambauer et al. 2017)
    init          how weights begin, as in dlexp.models.initialization
    Raises ValueError for names that are none, and for alpha dropout in other company.
    """
    if dropout_kind == "channel":
        raise ValueError("dropout_kind='channel' zeroes whole maps, and mlp has none: choose unit or alpha")
    refuse_alpha_without_selu(dropout_kind, activation, norm)
    widths = [prod(input_shape), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out)]
        layers += ordered(norm_place, norm_1d(norm, fan_out), activation_of(activation))
        layers += dropout_of(dropout_kind, dropout)
    return initialized(nn.Sequential(*layers, nn.Linear(widths[-1], num_outputs)), init, activation, norm)
