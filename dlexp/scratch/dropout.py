"""Dropout: units that are left out by chance in training.

Symbols: x, y, dx and dy as in `layer`; p the probability that a unit is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from dlexp.scratch.layer import Array, Layer

# (shape, dtype, p) -> mask: 0 with probability p, else 1 / (1 - p).
MaskSource = Callable[[tuple[int, ...], Any, float], Array]


def masks_of(rng: np.random.Generator) -> MaskSource:
    """Return a source of masks whose entries are independent, drawn from `rng`."""

    def draw(shape: tuple[int, ...], dtype: Any, p: float) -> Array:
        return ((rng.random(shape) >= p) / (1 - p)).astype(dtype)

    return draw


class DrawnMasks(Layer):
    """A layer that multiplies by random masks in training.

    Args:
        p: Probability in [0, 1) that an entry of a mask is 0.
        draw: Where the masks come from; None: drawn from a generator with the seed 0.

    Raises ValueError for a probability outside [0, 1).
    """

    settings: ClassVar[tuple[str, ...]] = ("p",)

    def __init__(self, p: float, draw: MaskSource | None = None) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"the probability p of dropout must be in [0, 1), got {p}")
        self.p = p
        self.draw = draw or masks_of(np.random.default_rng(0))


class Dropout(DrawnMasks):
    """y = x m in training, y = x otherwise; m is 0 with probability p, else 1 / (1 - p): any shape.

    The factor keeps the mean of y that of x, so that nothing has to be scaled after training (Srivastava et al. 2014,
    section 10: "inverted" dropout). dx = dy m.
    """

    def forward(self, x: Array, *others: Array) -> Array:
        """(...) -> the same shape."""
        mask = self.draw(x.shape, x.dtype, self.p) if self.training and self.p > 0 else None
        self.saved = {"mask": mask}
        return x if mask is None else x * mask

    def backward(self, dy: Array) -> Array:
        """(...) -> the same shape."""
        mask = self.saved["mask"]
        dx: Array = dy if mask is None else dy * mask
        return dx
