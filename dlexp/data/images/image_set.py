"""Image sets of any source, and their conversion to a DataBundle.

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
from dlexp.data.images.placement import ImageReader, Placement, read_some, some_of
from dlexp.data.splitting import Rows
from dlexp.data.targets import target_unit
from dlexp.specs import ClassSpec, DataSpec, ImageSpec, ValueSpec


@dataclass(frozen=True)
class ImageFormat:
    """The format to which image files are converted; the keys of data.* of the same names.

    resize_to  height and width after resizing, from which `image_size` is cropped: by the augmentation in training, in
               the center otherwise (ImageNet: 256 and 224); None for no crop
    Raises ValueError unless channels is 1, 3 or auto, and for a `resize_to` below `image_size`.
    """

    channels: int | str
    image_size: int
    resize: str
    resize_to: int | None = None

    def __post_init__(self) -> None:
        if self.channels not in ("auto", 1, 3):
            raise ValueError(f"channels={self.channels}: must be 1, 3 or auto")
        if self.resize_to is not None and self.resize_to < self.image_size:
            rule = f"must be at least image_size={self.image_size}"
            raise ValueError(f"resize_to={self.resize_to}: {rule}")

    @property
    def stored(self) -> int:
        """Height and width of the images after resizing."""
        return self.resize_to or self.image_size

    def preprocessing(self) -> dict[str, Any]:
        """Plain values to record with the run."""
        return {"size": self.image_size, "resize": self.resize, "resize_to": self.stored}


@dataclass(frozen=True)
class ImageSet:
    """Images with targets and splits, before they are read and measured.

    targets        (N,) int64 class numbers, (N, O) float64 values in their own units, or None for images alone
    names          of the classes, or of the values
    rows           numbers of the samples of train, val and test
    preprocessing  conversion from file to image, to record with the run
    notes          messages about changes and omissions of the source
    size           height and width of the network's inputs if the images are larger; 0 for the size of the images
    mirrors        whether a mirrored image keeps its class
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
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the network's inputs."""
        channels, height, width = self.reader.shape
        return channels, self.size or height, self.size or width

    def bundle(
        self,
        placement: Placement,
        moments_to_use: tuple[Sequence[float] | None, Sequence[float] | None],
        change: tuple[str | Sequence[Any], int],
        measure_all: bool = False,
    ) -> DataBundle:
        """The bundle of the images, with normalization.

        Args:
            placement: Storage of the images.
            moments_to_use: Mean and deviation of each channel; None and None to measure them on the training images.
            change: Augmentation and its largest shift in pixels.
            measure_all: Measure all training images instead of 2,000 of them.

        Raises:
            DataError: Images cannot be read.
            ValueError: The mean and deviation do not match the channels.
        """
        channels, height, width = self.input_shape
        splits, storage_notes = placement.place(self.reader, self.targets, self.rows)
        found, measured = given_moments(*moments_to_use, channels), 0
        if found is None:
            rows = self.rows[0] if measure_all else some_of(self.rows[0])
            found, measured = moments(read_some(self.reader, rows)), len(rows)
        white = WHITE if self.reader.dtype == torch.uint8 else None  # unknown for other types
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
            notes=(*self.notes, *storage_notes),
            mirrors=self.mirrors,
        )

    def _spec(self) -> DataSpec:
        seen = ImageSpec(*self.input_shape)
        if self.targets is None:
            return DataSpec(seen, None)
        if self.targets.ndim == 1:
            return DataSpec(seen, ClassSpec(self.names))
        return DataSpec(seen, ValueSpec(self.names, *target_unit(self.targets, self.rows[0], self.names)))
