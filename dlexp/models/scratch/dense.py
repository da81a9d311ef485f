"""Dense networks in NumPy: perceptron and multilayer perceptron.

Symbols: B batch, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dlexp.models.mlp import mlp, perceptron
from dlexp.models.scratch.translation import ACTIVATIONS, in_numpy, refuse_unwritten

__all__ = ["numpy_mlp", "numpy_perceptron"]

_NORMS = ("none", "batch", "layer")


def numpy_perceptron(*, input_shape: tuple[int, ...], num_outputs: int, init: str = "default") -> nn.Module:
    """A dense layer in NumPy (Rosenblatt 1958): (B, *input_shape) -> (B, O) scores, with the weights of `perceptron`.

    Args:
        input_shape: Shape of a sample.
        num_outputs: O.
        init: Initialization, as in dlexp.models.initialization.
    """
    return in_numpy(perceptron(input_shape=input_shape, num_outputs=num_outputs, init=init))


def numpy_mlp(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    hidden: Sequence[int] = (256, 128),
    activation: str = "relu",
    norm: str = "none",
    norm_place: str = "before",
    dropout: float = 0.0,
    init: str = "default",
) -> nn.Module:
    """Multilayer perceptron in NumPy: (B, *input_shape) -> (B, O) logits or values.

    The layers of `mlp`, which also draws the weights: the same words and seed begin with the same network.

    Args:
        input_shape: Shape of a sample.
        num_outputs: O.
        hidden: Units of each hidden layer; () is a linear model.
        activation: One of the activations that are written in NumPy.
        norm: none, batch or layer.
        norm_place: before or after the activation.
        dropout: Probability in [0, 1) that a hidden unit is zeroed in training.
        init: Initialization, as in dlexp.models.initialization.

    Raises ValueError for unknown names, and for what is not written in NumPy.
    """
    refuse_unwritten(
        ("activation", activation, ACTIVATIONS),
        ("norm", norm, _NORMS),
    )
    twin = mlp(
        input_shape=input_shape,
        num_outputs=num_outputs,
        hidden=hidden,
        activation=activation,
        norm=norm,
        norm_place=norm_place,
        dropout=dropout,
        init=init,
    )
    return in_numpy(twin)
