"""A convolutional network in NumPy.

Symbols: B batch, C channels, H and W height and width in pixels, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dlexp.models.convnet import simple_cnn
from dlexp.models.scratch.translation import ACTIVATIONS, in_numpy, refuse_unwritten

__all__ = ["numpy_cnn"]


def numpy_cnn(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    channels: Sequence[int] = (32, 64),
    fc: int = 128,
    activation: str = "relu",
    norm: str = "none",
    norm_place: str = "before",
    pool: str = "max",
    dropout: float = 0.0,
    init: str = "default",
) -> nn.Module:
    """Convolutional network in NumPy: (B, C, H, W) -> (B, O) logits or values.

    The layers of `simple_cnn`, which also draws the weights: the same words and seed begin with the same network.

    Args:
        channels: Output channels of each block (3x3 convolution, normalization, activation, 2x2 pooling).
        fc: Units of the hidden layer.
        activation: One of the activations that are written in NumPy.
        norm: none, batch or layer.
        norm_place: before or after the activation.
        pool: max or average.
        dropout: Probability in [0, 1) that a unit of the hidden layer is zeroed in training.
        init: Initialization, as in dlexp.models.initialization.

    Raises ValueError for unknown names, for what is not written in NumPy, and for samples that are no images.
    """
    refuse_unwritten(
        ("activation", activation, ACTIVATIONS),
        ("norm", norm, ("none", "batch", "layer")),
    )
    twin = simple_cnn(
        input_shape=input_shape,
        num_outputs=num_outputs,
        channels=channels,
        fc=fc,
        activation=activation,
        norm=norm,
        norm_place=norm_place,
        pool=pool,
        dropout=dropout,
        init=init,
    )
    return in_numpy(twin)
