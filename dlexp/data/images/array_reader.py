"""A reader of images in arrays, in memory or mapped from a file.

Symbols: N samples, B samples of a piece, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.images.decoding import AllOrNone, Failure, list_lines
from dlexp.data.images.float_precision import Narrowing
from dlexp.data.images.normalization import WHITE
from dlexp.errors import DataError

_CHANNELS = (1, 3, 4)  # sizes that layout=auto accepts as channels
_LOOKED = 64  # training images from which the narrowing is measured


@dataclass(frozen=True)
class ArrayImages(AllOrNone):
    """Images in consecutive parts, addressed by number.

    parts      (N, C, H, W) each, all of one type; uint8 and bool are read as uint8 pixels, other types as float32
    file       their file, for error messages
    narrowing  transform before the conversion to float32; None for none
    """

    parts: tuple[NDArray[Any], ...]
    file: Path
    narrowing: Narrowing | None = None

    def with_narrowing(self, rows: NDArray[np.int64]) -> ArrayImages:
        """The same images, narrowed as a sample of the training images `rows` requires."""
        if self.dtype == torch.uint8:
            return self
        few = rows[np.linspace(0, len(rows) - 1, min(_LOOKED, len(rows))).round().astype(np.int64)]
        start, found = 0, []
        for part in self.parts:
            found.append(part[few[(few >= start) & (few < start + len(part))] - start])
            start += len(part)
        return replace(self, narrowing=Narrowing.of(np.concatenate(found)))

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.parts[0].shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """The type of the images that are read."""
        return torch.uint8 if self.parts[0].dtype in (np.uint8, np.bool_) else torch.float32

    def attempt(self, rows: NDArray[np.int64]) -> tuple[Tensor, list[Failure]]:
        """The images of `rows` with finite values, (at most B, C, H, W), and the failures of the others."""
        channels, height, width = self.shape
        found = np.empty((len(rows), height, width, channels), dtype=str(self.dtype).removeprefix("torch."))
        start = 0
        for part in self.parts:
            mine = np.flatnonzero((rows >= start) & (rows < start + len(part)))
            images = part[rows[mine] - start]
            pixels = (images if self.narrowing is None else self.narrowing(images)).transpose(0, 2, 3, 1)
            with np.errstate(over="ignore"):  # infinite values are reported below
                found[mine] = pixels * WHITE if pixels.dtype == np.bool_ else pixels
            start += len(part)
        if self.dtype == torch.uint8:
            return torch.from_numpy(found).permute(0, 3, 1, 2), []
        whole = np.isfinite(found).all(axis=(1, 2, 3))
        failures = [(f"{row:>12}", "has a value that is not finite as float32") for row in rows[~whole]]
        return torch.from_numpy(found if whole.all() else found[whole]).permute(0, 3, 1, 2), failures

    def refusal(self, failures: Sequence[Failure]) -> DataError:
        """The error for images with non-finite values."""
        lines = list_lines([f"sample {number.strip()} {why}" for number, why in failures])
        return DataError(f"{len(failures)} images have invalid values{lines}\n", file=self.file)


def as_images(file: Path, images: NDArray[Any], layout: str) -> NDArray[Any]:
    """(N, H, W), (N, C, H, W) or (N, H, W, C) -> a view (N, C, H, W). Raises DataError if the layout is ambiguous."""
    if images.dtype.kind not in "biuf":
        raise DataError(f"images must be numbers, got {images.dtype}", file=file, code="invalid-type")
    if images.ndim == 3:
        return images[:, None]
    first, last = images.shape[1] in _CHANNELS, images.shape[3] in _CHANNELS
    if layout == "auto" and first == last:
        rule = f"the layout of images of shape {images.shape} is ambiguous"
        remedy = "Set data.layout=channels_first or data.layout=channels_last"
        raise DataError(rule, file=file, remedy=remedy, code="missing-value")
    is_last = last if layout == "auto" else layout == "channels_last"
    return images.transpose(0, 3, 1, 2) if is_last else images
