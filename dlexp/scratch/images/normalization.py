"""Normalization of feature maps.

Symbols: B samples, C channels, H and W height and width in pixels; x, y, dx and dy as in `layer`; z the normalized x.
"""

from __future__ import annotations

import numpy as np

from dlexp.scratch.layer import Array, Layer

_OF_A_SAMPLE, _OF_A_CHANNEL = (1, 2, 3), (0, 2, 3)


class MapNorm(Layer):
    """y = g z + b, z = (x - mean) / sqrt(var + eps), over all maps of a sample: (B, C, H, W) -> the same shape.

    Layer normalization (Ba, Kiros & Hinton 2016, arXiv:1607.06450) with a scale for each channel, as torch's
    `nn.GroupNorm` of one group. dx = (dz - mean(dz) - z mean(dz z)) / sqrt(var + eps), dz = g dy.

    Args:
        channels: C. g is `weight` (C,), b is `bias` (C,).
        eps: Added to the variance.
        dtype: Type of the parameters.
    """

    def __init__(self, channels: int, eps: float = 1e-5, dtype: str = "float32") -> None:
        super().__init__()
        self.eps = eps
        self.parameters = {"weight": np.ones(channels, dtype), "bias": np.zeros(channels, dtype)}

    def forward(self, x: Array, *others: Array) -> Array:
        """(B, C, H, W) -> the same shape."""
        scale = 1 / np.sqrt(x.var(_OF_A_SAMPLE, keepdims=True) + self.eps)
        z = (x - x.mean(_OF_A_SAMPLE, keepdims=True)) * scale
        self.saved = {"z": z, "scale": scale}
        y: Array = z * self.parameters["weight"][:, None, None] + self.parameters["bias"][:, None, None]
        return y

    def backward(self, dy: Array) -> Array:
        """(B, C, H, W) -> the same shape."""
        z = self.saved["z"]
        self.gradients = {"weight": (dy * z).sum(_OF_A_CHANNEL), "bias": dy.sum(_OF_A_CHANNEL)}
        dz = dy * self.parameters["weight"][:, None, None]
        dz = dz - dz.mean(_OF_A_SAMPLE, keepdims=True) - z * (dz * z).mean(_OF_A_SAMPLE, keepdims=True)
        dx: Array = dz * self.saved["scale"]
        return dx
