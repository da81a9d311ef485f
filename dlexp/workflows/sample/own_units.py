"""Samples as a network has them, in the units of the data: pixels, cells of a table, numbers.

Symbols: N samples, C channels, H and W height and width in pixels, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.preprocess import Affine, Preprocess
from dlexp.data.tables.original_units import ColumnValues, original_columns
from dlexp.specs import DataSpec, ImageSpec, TableSpec

Array = NDArray[Any]


@dataclass(frozen=True)
class OwnUnits:
    """The way back from inputs of a network to the data.

    Attributes:
        spec: Of the data.
        preprocess: The last step before the network.
        preprocessing: How raw data became what it reads.
    """

    spec: DataSpec
    preprocess: Preprocess
    preprocessing: Mapping[str, Any]

    @property
    def white(self) -> float | None:
        """The largest value of a pixel, None where it is not known, or the samples are no images."""
        found = self.preprocessing.get("white")
        return float(found) if isinstance(self.spec.inputs, ImageSpec) and found else None

    def array(self, inputs: Tensor) -> Array:
        """(N, *shape) as the data is: whole numbers 0 to `white` where pixels are whole numbers, else float32."""
        values = inputs.detach().float().cpu()
        if isinstance(self.preprocess, Affine):
            step = self.preprocess.to(torch.device("cpu"))
            values = (values - step.shift) / step.scale
        white = self.white
        if white is None:
            return values.numpy()
        values = values.clamp(0, white)
        if white > 1 and white.is_integer():
            return values.round().numpy().astype(np.uint8 if white < 256 else np.uint16 if white < 65536 else np.int64)
        return values.numpy()

    def shares(self, values: Array) -> NDArray[np.float64] | None:
        """Images (N, C, H, W) of `array` in [0, 1]; None for what is no image of one or three channels.

        Without a known white, each image reaches from 0 to 1.
        """
        inputs = self.spec.inputs
        if not isinstance(inputs, ImageSpec) or inputs.channels not in (1, 3):
            return None
        found: NDArray[np.float64] = values.astype(np.float64)
        if self.white is not None:
            return found / self.white
        low, high = found.min(axis=(1, 2, 3), keepdims=True), found.max(axis=(1, 2, 3), keepdims=True)
        scaled: NDArray[np.float64] = (found - low) / np.where(high > low, high - low, 1.0)
        return scaled

    @property
    def is_table(self) -> bool:
        """Whether samples are rows of a table."""
        return isinstance(self.spec.inputs, TableSpec)

    def columns(self, values: Array) -> dict[str, ColumnValues]:
        """The columns of a table's features (N, F) in their own units, by name."""
        return original_columns(values.astype(np.float32), self.preprocessing)

    def limits(self) -> dict[str, tuple[float, float]]:
        """Number column -> lowest and highest value of a picture: 3 deviations on either side of the mean."""
        if not isinstance(self.spec.inputs, TableSpec):
            return {}
        ends = torch.tensor([[-3.0], [3.0]]).repeat(1, self.spec.inputs.num_features)
        found = {name: np.asarray(cells) for name, cells in self.columns(self.array(ends)).items()}
        return {name: (float(c[0]), float(c[1])) for name, c in found.items() if c.dtype.kind == "f"}
