"""Normalization: numbers of mean 0 and variance 1, then scaled and shifted by what is learned.

Symbols: B samples, F features or channels; x, y, dx and dy as in `layer`; z the normalized x.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from dlexp.scratch.layer import Array, Layer


class BatchNorm(Layer):
    """y = g z + b, z = (x - mean) / sqrt(var + eps), over a batch: (B, F, ...) -> the same shape.

    Mean and variance are those of each feature over all samples, and over all positions of maps or series. In training
    they are those of the batch, and running means of both are updated; otherwise the running ones are used (Ioffe &
    Szegedy 2015, arXiv:1502.03167). z divides by the biased variance (by n), the running one is unbiased (by n - 1), as
    in torch. With n numbers of a feature in a batch, mean and variance depend on x, so

        dx = (dz - mean(dz) - z mean(dz z)) / sqrt(var + eps),  dz = g dy,  dg = sum(dy z),  db = sum(dy)

    Args:
        features: F. g is `weight` (F,), b is `bias` (F,).
        eps: Added to the variance.
        momentum: Share in (0, 1] of a batch in the running means; None: their mean over all batches.
        dtype: Type of the parameters and of the running means.
    """

    settings: ClassVar[tuple[str, ...]] = ("momentum",)

    def __init__(self, features: int, eps: float = 1e-5, momentum: float | None = 0.1, dtype: str = "float32") -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.parameters = {"weight": np.ones(features, dtype), "bias": np.zeros(features, dtype)}
        self.buffers = {
            "running_mean": np.zeros(features, dtype),
            "running_var": np.ones(features, dtype),
            "num_batches_tracked": np.zeros((), np.int64),
        }

    def forward(self, x: Array, *others: Array) -> Array:
        """(B, F, ...) -> the same shape. Raises ValueError in training for a single number of a feature."""
        axes, shape = _all_but_features(x), (1, -1, *[1] * (x.ndim - 2))
        if self.training:
            count = x.size // x.shape[1]
            if count < 2:
                raise ValueError(f"batch normalization requires two or more numbers of a feature, got shape {x.shape}")
            mean, variance = x.mean(axis=axes), x.var(axis=axes)
            self._track(mean, variance * (count / (count - 1)))
        else:
            mean, variance = self.buffers["running_mean"], self.buffers["running_var"]
        scale = 1 / np.sqrt(variance + self.eps)
        z = (x - mean.reshape(shape)) * scale.reshape(shape)
        self.saved = {"z": z, "scale": scale, "training": self.training}
        y: Array = z * self.parameters["weight"].reshape(shape) + self.parameters["bias"].reshape(shape)
        return y

    def backward(self, dy: Array) -> Array:
        """(B, F, ...) -> the same shape."""
        axes, shape, z = _all_but_features(dy), (1, -1, *[1] * (dy.ndim - 2)), self.saved["z"]
        self.gradients = {"weight": (dy * z).sum(axis=axes), "bias": dy.sum(axis=axes)}
        dz = dy * self.parameters["weight"].reshape(shape)
        if self.saved["training"]:
            dz = dz - dz.mean(axis=axes, keepdims=True) - z * (dz * z).mean(axis=axes, keepdims=True)
        dx: Array = dz * self.saved["scale"].reshape(shape)
        return dx

    def _track(self, mean: Array, variance: Array) -> None:
        """Update the running means by those of a batch."""
        self.buffers["num_batches_tracked"] += 1
        share = 1 / int(self.buffers["num_batches_tracked"]) if self.momentum is None else self.momentum
        for name, value in (("running_mean", mean), ("running_var", variance)):
            self.buffers[name] *= 1 - share
            self.buffers[name] += share * value


class LayerNorm(Layer):
    """y = g z + b, z = (x - mean) / sqrt(var + eps), over the features of each sample: (..., F) -> the same shape.

    Nothing depends on other samples, so training and its end are alike (Ba, Kiros & Hinton 2016, arXiv:1607.06450).
    The derivative by x is that of batch normalization, over the features.

    Args:
        features: F. g is `weight` (F,), b is `bias` (F,).
        eps: Added to the variance.
        dtype: Type of the parameters.
    """

    def __init__(self, features: int, eps: float = 1e-5, dtype: str = "float32") -> None:
        super().__init__()
        self.eps = eps
        self.parameters = {"weight": np.ones(features, dtype), "bias": np.zeros(features, dtype)}

    def forward(self, x: Array, *others: Array) -> Array:
        """(..., F) -> the same shape."""
        scale = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + self.eps)
        z = (x - x.mean(axis=-1, keepdims=True)) * scale
        self.saved = {"z": z, "scale": scale}
        y: Array = z * self.parameters["weight"] + self.parameters["bias"]
        return y

    def backward(self, dy: Array) -> Array:
        """(..., F) -> the same shape."""
        z, rest = self.saved["z"], tuple(range(dy.ndim - 1))
        self.gradients = {"weight": (dy * z).sum(axis=rest), "bias": dy.sum(axis=rest)}
        dz = dy * self.parameters["weight"]
        dz = dz - dz.mean(axis=-1, keepdims=True) - z * (dz * z).mean(axis=-1, keepdims=True)
        dx: Array = dz * self.saved["scale"]
        return dx


def _all_but_features(x: Array) -> tuple[int, ...]:
    """The axes of samples and positions; the features are axis 1."""
    return (0, *range(2, x.ndim))
