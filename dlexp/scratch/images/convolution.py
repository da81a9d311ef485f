"""Two-dimensional convolution: as one matrix product, and as the loops that it stands for.

What is called convolution in the field is a cross-correlation: the kernel is not turned round.

Symbols: B samples, C channels of the input, H and W height and width in pixels, F filters, K side of a kernel, S
stride, P and Q rows and columns of the output.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from dlexp.scratch.images.windows import add_windows, borders, cropped, padded, windows
from dlexp.scratch.layer import Array, Layer


class Conv2d(Layer):
    """y[b, f, p, q] = bias[f] + sum over c, i, j of weight[f, c, i, j] * x[b, c, S p + i, S q + j].

    Forward, the K x K windows of all images are laid out as the columns of a matrix (C K K, B P Q), and one product
    with the filters (F, C K K) gives all outputs (Chellapilla et al. 2006, https://inria.hal.science/inria-00112631).
    Backward, with dy as a matrix (F, B P Q): d weight = dy columns', d columns = weight' dy, and d x is the sum of the
    windows where they came from. Weight (F, C, K, K), bias (F,), as of torch's `nn.Conv2d`.

    Args:
        channels: C.
        filters: F.
        kernel: K.
        stride: S.
        padding: valid, same or a number, as in `windows.borders`.
        rng: Draws the weight from the uniform distribution on +-1 / sqrt(C K K), as torch does; None: it is 0. The bias
            is 0.
        dtype: Type of the parameters.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: str | int = "valid",
        rng: np.random.Generator | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding
        shape = (filters, channels, kernel, kernel)
        bound = 1 / sqrt(channels * kernel**2)
        drawn = np.zeros(shape) if rng is None else rng.uniform(-bound, bound, shape)
        self.parameters = {"weight": drawn.astype(dtype), "bias": np.zeros(filters, dtype)}

    def forward(self, x: Array, *others: Array) -> Array:
        """(B, C, H, W) -> (B, F, P, Q); P = floor((H + zeros above and below - K) / S) + 1, Q likewise.

        Raises ValueError for inputs of another shape.
        """
        weight, bias = self.parameters["weight"], self.parameters["bias"]
        if x.ndim != 4 or x.shape[1] != weight.shape[1]:
            rule = f"a convolution of {weight.shape[1]} channels"
            raise ValueError(f"{rule} requires inputs (samples, channels, height, width), got {x.shape}")
        around = borders(self.padding, x.shape[2:], self.kernel, self.stride)
        by_channel = padded(x.transpose(1, 0, 2, 3), around)  # (C, B, H, W)
        view = windows(by_channel, self.kernel, self.stride)  # (C, B, P, Q, K, K)
        columns = view.transpose(0, 4, 5, 1, 2, 3).reshape(weight[0].size, -1)  # the one copy
        self.saved = {"columns": columns, "shape": by_channel.shape, "around": around}
        self.multiply_adds = weight.size * columns.shape[1]
        y = weight.reshape(len(weight), -1) @ columns
        y += bias[:, None]
        return y.reshape(len(weight), *view.shape[1:4]).transpose(1, 0, 2, 3)

    def backward(self, dy: Array) -> Array:
        """(B, F, P, Q) -> (B, C, H, W)."""
        weight = self.parameters["weight"]
        by_filter = dy.transpose(1, 0, 2, 3).reshape(len(weight), -1)  # (F, B P Q)
        of_weight = by_filter @ self.saved["columns"].T
        self.gradients = {"weight": of_weight.reshape(weight.shape), "bias": by_filter.sum(1)}
        parts = weight.reshape(len(weight), -1).T @ by_filter  # (C K K, B P Q)
        channels, size = weight.shape[1:3]
        parts = parts.reshape(channels, size, size, len(dy), *dy.shape[2:])
        total = np.zeros(self.saved["shape"], dy.dtype)
        add_windows(total, parts.transpose(1, 2, 0, 3, 4, 5), self.stride)
        return cropped(total, self.saved["around"]).transpose(1, 0, 2, 3)


def convolution_by_loops(x: Array, weight: Array, bias: Array, stride: int = 1, padding: str | int = "valid") -> Array:
    """`Conv2d` as its formula reads, a pixel after the other: (B, C, H, W), (F, C, K, K), (F,) -> (B, F, P, Q)."""
    size = weight.shape[-1]
    x = padded(x, borders(padding, (x.shape[2], x.shape[3]), size, stride))
    rows, columns = ((length - size) // stride + 1 for length in x.shape[2:])
    y = np.zeros((len(x), len(weight), rows, columns), x.dtype)
    for b, image in enumerate(x):
        for f, kernel in enumerate(weight):
            for p in range(rows):
                for q in range(columns):
                    window = image[:, stride * p : stride * p + size, stride * q : stride * q + size]
                    y[b, f, p, q] = (window * kernel).sum() + bias[f]
    return y
