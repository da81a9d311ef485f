"""Images of any source -> DataBundle: placed, measured and described in one way.

Symbols: N samples, O target values, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.images.normalization import WHITE, given_moments, moments
from dlexp.data.images.placement import ImageReader, Placing, read_some, some_of
from dlexp.data.splitting import Rows
from dlexp.data.targets import target_unit
from dlexp.specs import ClassSpec, DataSpec, ImageSpec, ValueSpec


@dataclass(frozen=True)
class Form:
    """How a file becomes what a network sees; the keys of data.* of the same names.

    resize_to  height and width that files are brought to where the network sees less of them: `image_size` is cut out,
               in training where the augmentation says, else in the middle (ImageNet: 256 and 224); None for all of it
    Raises ValueError for a number of channels other than 1 and 3, and for a `resize_to` below `image_size`.
    """

    channels: int | str
    image_size: int
    resize: str
    resize_to: int | None = None

    def __post_init__(self) -> None:
        if self.channels not in ("auto", 1, 3):
            raise ValueError(f"channels={self.channels}: images of files have 1 channel or 3; or auto")
        if self.resize_to is not None and self.resize_to < self.image_size:
            rule = f"must be image_size={self.image_size} or more, which is cut out of it"
            raise ValueError(f"resize_to={self.resize_to}: {rule}")

    @property
    def stored(self) -> int:
        """Height and width of the images that are read."""
        return self.resize_to or self.image_size

    def preprocessing(self) -> dict[str, Any]:
        """Plain values, stored with the run."""
        return {"size": self.image_size, "resize": self.resize, "resize_to": self.stored}


@dataclass(frozen=True)
class ImageSet:
    """Images that are split, and neither placed nor measured yet.

    targets        (N,) int64 class numbers, (N, O) float64 values in their own units, or None for images alone
    names          of the classes, or of the values
    rows           numbers of the samples of train, val and test
    preprocessing  how a file became what the reader gives
    notes          what the source changed or left out
    size           height and width that the network sees where the reader's images are larger; 0 for as they come
    mirrors        whether a mirrored image is still one of its class
    """

    reader: ImageReader
    targets: NDArray[Any] | None
    names: tuple[str, ...]
    rows: tuple[Rows, ...]
    fingerprint: str
    preprocessing: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    size: int = 0
    mirrors: bool = True

    @property
    def seen(self) -> tuple[int, int, int]:
        """(C, H, W) that the network sees."""
        channels, height, width = self.reader.shape
        return channels, self.size or height, self.size or width

    def bundle(
        self,
        placing: Placing,
        moments_to_use: tuple[Sequence[float] | None, Sequence[float] | None],
        change: tuple[str | Sequence[Any], int],
        measure_all: bool = False,
    ) -> DataBundle:
        """Placed, and with a normalisation.

        moments_to_use  mean and deviation of each channel; None and None to measure them on the training images
        change          augmentation and its largest shift
        measure_all     measure all training images, not 2,000 of them
        Raises DataError for images that cannot be read, ValueError for a mean and deviation that do not fit.
        """
        channels, height, width = self.seen
        splits, told = placing.place(self.reader, self.targets, self.rows)
        found, measured = given_moments(*moments_to_use, channels), 0
        if found is None:
            rows = self.rows[0] if measure_all else some_of(self.rows[0])
            found, measured = moments(read_some(self.reader, rows)), len(rows)
        white = WHITE if self.reader.dtype == torch.uint8 else None  # of other numbers nothing says it
        return DataBundle(
            spec=self._spec(),
            splits=splits,
            preprocess=found.normalization(height, width, white or 1),
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
            mirrors=self.mirrors,
        )

    def _spec(self) -> DataSpec:
        seen = ImageSpec(*self.seen)
        if self.targets is None:
            return DataSpec(seen, None)
        if self.targets.ndim == 1:
            return DataSpec(seen, ClassSpec(self.names))
        return DataSpec(seen, ValueSpec(self.names, *target_unit(self.targets, self.rows[0], self.names)))
