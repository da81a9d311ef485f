"""Conversion of numeric images to float32 without loss of contrast, by an offset and a unit if needed.

Symbols: B images, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.runtime.rounding import mean_and_std, rounding

_SMALL, _LARGE = 1e-30, 1e30  # range within which float32 numbers and their squares are valid
_KEPT = 250.0  # rounding to float32 may lose a thousandth of the deviation


@dataclass(frozen=True)
class Narrowing:
    """The transform (x - offset) / unit, computed in float64 before the conversion to float32.

    offset, unit  C numbers each; unit > 0
    """

    offset: tuple[float, ...]
    unit: tuple[float, ...]

    @classmethod
    def of(cls, images: NDArray[Any]) -> Narrowing | None:
        """The transform that training images (B, C, H, W) require, B at least 1; None if float32 is precise enough."""
        flat = np.asarray(images, dtype=np.float64).transpose(0, 2, 3, 1).reshape(-1, images.shape[1])
        flat = flat[np.isfinite(flat).all(axis=1)]
        if not len(flat):
            return None
        mean, std = mean_and_std(flat)
        largest = np.abs(flat).max(axis=0)
        coarse = _KEPT * rounding(largest, np.float32) > std
        needed = (std > 0) & (coarse | (std < _SMALL)) | (largest > _LARGE)
        if not needed.any():
            return None
        return cls(tuple(mean.tolist()), tuple(float(value) or 1.0 for value in std))

    @classmethod
    def of_plain(cls, preprocessing: Mapping[str, Any]) -> Narrowing | None:
        """The transform from the result of `plain`; None if there was none."""
        if "offset" not in preprocessing:
            return None
        return cls(tuple(preprocessing["offset"]), tuple(preprocessing["unit"]))

    def plain(self) -> dict[str, list[float]]:
        """Plain values for `of_plain`."""
        return {"offset": list(self.offset), "unit": list(self.unit)}

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float64]:
        """Transform images (B, C, H, W) of any type to the same shape."""
        offset, unit = (np.array(part)[:, None, None] for part in (self.offset, self.unit))
        return np.asarray((images.astype(np.float64) - offset) / unit)

    def convert_moments(self, moments: Sequence[float], is_mean: bool) -> tuple[float, ...]:
        """Convert means or deviations of C channels from the units of the images to those of the transformed images."""
        shifts = self.offset if is_mean else (0.0,) * len(self.offset)
        return tuple((value - shift) / unit for value, shift, unit in zip(moments, shifts, self.unit, strict=True))


def conversion_between(
    read: Narrowing | None, wanted: Narrowing | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(scale, shift) that convert images transformed by `read` to those transformed by `wanted`: x * scale + shift.

    None is the identity. Each has the shape (C, 1, 1), or (1, 1, 1) if both are None.
    """
    plain = Narrowing((0.0,), (1.0,))
    before, after = read or plain, wanted or plain
    units, offsets = (np.array(part) for part in (before.unit, before.offset))
    scale, shift = units / np.array(after.unit), (offsets - np.array(after.offset)) / np.array(after.unit)
    return scale[:, None, None], shift[:, None, None]
