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
from dlexp.models.layers import norm_1d, place_norm, refuse_alpha_without_selu

__all__ = ["mlp", "perceptron"]


def perceptron(*, input_shape: tuple[int, ...], num_outputs: int, init: str = "default") -> nn.Sequential:
    """A linear layer (Rosenblatt 1958): (B, *input_shape) -> (B, O) logits; the task computes probabilities.

    Args:
        input_shape: Shape of a sample.
        num_outputs: O.
        init: Initialization, as in dlexp.models.initialization.
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
    """Multilayer perceptron: (B, *input_shape) -> (B, O) logits or values.

    A hidden layer consists of Linear, normalization, activation and dropout; the last layer is Linear.

    Args:
        input_shape: Shape of a sample.
        num_outputs: O.
        hidden: Units of each hidden layer; () is a linear model.
        activation: Name of the activation.
        norm: none, batch, layer, group or rms.
        norm_place: before or after the activation.
        dropout: Probability in [0, 1) that a hidden unit is zeroed in training.
        dropout_kind: unit, or alpha, which requires activation=selu and norm=none (Klambauer et al. 2017).
        init: Initialization, as in dlexp.models.initialization.

    Raises ValueError for unknown names and unsupported combinations.
    """
    if dropout_kind == "channel":
        raise ValueError("dropout_kind='channel' requires images. Use unit or alpha.")
    refuse_alpha_without_selu(dropout_kind, activation, norm)
    widths = [prod(input_shape), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out)]
        layers += place_norm(norm_place, norm_1d(norm, fan_out), activation_of(activation))
        layers += dropout_of(dropout_kind, dropout)
    return initialized(nn.Sequential(*layers, nn.Linear(widths[-1], num_outputs)), init, activation, norm)
