"""Images of any source -> DataBundle: placed, measured and described in one way.

Symbols: N samples, O target values, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.pixels import WHITE, given_moments, moments
from dlexp.data.placing import ImageReader, Placing, read_some, some_of
from dlexp.data.split import Rows
from dlexp.types import DataSpec


@dataclass(frozen=True)
class ImageSet:
    """Images that are split, and neither placed nor measured yet.

    targets        (N,) int64 class numbers, or (N, O) float32 values in their own units
    names          of the classes, or of the values
    rows           numbers of the samples of train, val and test
    preprocessing  how a file became what the reader gives
    notes          what the source changed or left out
    """

    reader: ImageReader
    targets: NDArray[Any]
    names: tuple[str, ...]
    rows: tuple[Rows, ...]
    fingerprint: str
    preprocessing: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def bundle(
        self,
        placing: Placing,
        moments_to_use: tuple[Sequence[float] | None, Sequence[float] | None],
        change: tuple[str, int],
        measure_all: bool = False,
    ) -> DataBundle:
        """Placed, and with a normalisation.

        moments_to_use  mean and deviation of each channel; None and None to measure them on the training images
        change          augmentation and its largest shift
        measure_all     measure all training images, not 2,000 of them
        Raises DataError for images that cannot be read, ValueError for a mean and deviation that do not fit.
        """
        channels, height, width = self.reader.shape
        splits, told = placing.place(self.reader, self.targets, self.rows)
        found, measured = given_moments(*moments_to_use, channels), 0
        if found is None:
            rows = self.rows[0] if measure_all else some_of(self.rows[0])
            found, measured = moments(read_some(self.reader, rows)), len(rows)
        white = WHITE if self.reader.dtype == torch.uint8 else 1
        return DataBundle(
            spec=self._spec(),
            splits=splits,
            normalize=found.normalization(height, width, white),
            fingerprint=self.fingerprint,
            preprocessing={
                "kind": "image",
                "white": white,
                **self.preprocessing,
                "channels": channels,
                "mean": list(found.mean),
                "std": list(found.std),
                "measured_on": measured,
            },
            augment=change[0],
            pad=change[1],
            notes=(*self.notes, *told),
        )

    def _spec(self) -> DataSpec:
        shape = self.reader.shape
        if self.targets.ndim == 1:
            return DataSpec("image", "class", shape, len(self.names), class_names=self.names)
        learnt = self.targets[self.rows[0]].astype(np.float64)
        spread = learnt.std(axis=0)
        return DataSpec(
            "image",
            "value",
            shape,
            self.targets.shape[1],
            target_names=self.names,
            target_mean=tuple(float(value) for value in learnt.mean(axis=0)),
            target_std=tuple(float(value) if value > 1e-12 else 1.0 for value in spread),
        )
