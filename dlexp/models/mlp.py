"""Perceptron and multilayer perceptron.

Symbols: B batch, F features of one sample once flattened, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.models.initialization import initialized
from dlexp.models.layers import activation as activation_of
from dlexp.models.layers import dropout as dropout_of
from dlexp.models.layers import norm_1d, place_norm, refuse_alpha_without_selu
from dlexp.models.sequences.inputs import kept_positions

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


class FlatSteps(nn.Sequential):
    """Layers on all steps of a series of at most `max_length`, one after the other; what is missing of them is 0."""

    def __init__(self, *layers: nn.Module, max_length: int) -> None:
        super().__init__(*layers)
        self.max_length = max_length

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, channels), (B,) -> (B, O). Raises ValueError for longer series."""
        missing = self.max_length - values.shape[1]
        if missing < 0:
            raise ValueError(f"mlp was made for at most {self.max_length} steps, got {values.shape[1]}")
        if lengths is not None:
            values = values * kept_positions(values, lengths)[:, :, None]
        found = F.pad(values, (0, 0, 0, missing)) if missing else values
        for layer in self:
            found = layer(found)
        return found


def mlp(
    *,
    input_shape: tuple[int, ...] | None = None,
    num_outputs: int,
    in_channels: int = 0,
    max_length: int | None = None,
    hidden: Sequence[int] = (256, 128),
    activation: str = "relu",
    norm: str = "none",
    norm_place: str = "before",
    dropout: float = 0.0,
    dropout_kind: str = "unit",
    init: str = "default",
) -> nn.Sequential:
    """Multilayer perceptron: (B, *input_shape) -> (B, O) logits or values; of series (B, T, channels) -> (B, O).

    A hidden layer consists of Linear, normalization, activation and dropout; the last layer is Linear.

    Args:
        input_shape: Shape of a sample, None for series.
        num_outputs: O.
        in_channels: Channels of a series.
        max_length: Steps of the longest series, None for samples of one shape.
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
    if input_shape is None and (max_length is None or not in_channels):
        raise ValueError("mlp requires samples of one shape, or series. Use model=lstm")
    features = prod(input_shape) if input_shape is not None else in_channels * (max_length or 0)
    widths = [features, *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out)]
        layers += place_norm(norm_place, norm_1d(norm, fan_out), activation_of(activation))
        layers += dropout_of(dropout_kind, dropout)
    layers.append(nn.Linear(widths[-1], num_outputs))
    if input_shape is None and max_length is not None:
        return initialized(FlatSteps(*layers, max_length=max_length), init, activation, norm)
    return initialized(nn.Sequential(*layers), init, activation, norm)
