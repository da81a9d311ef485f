"""Images of numbers as float32: as they are where float32 holds them, else without what all have in common.

Symbols: B images, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.runtime.rounding import mean_and_std, rounding

_SMALL, _LARGE = 1e-30, 1e30  # beyond them float32, or its square, is out of range
_KEPT = 250.0  # float32's rounding may take a thousandth of the deviation


@dataclass(frozen=True)
class Narrowing:
    """(x - offset) / unit, computed in float64, then float32.

    offset, unit  C numbers each; unit is above 0
    """

    offset: tuple[float, ...]
    unit: tuple[float, ...]

    @classmethod
    def of(cls, images: NDArray[Any]) -> Narrowing | None:
        """What some training images (B, C, H, W) need, at least one; None where float32 holds them as they are."""
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
        """The one that `plain` has described; None where there was none."""
        if "offset" not in preprocessing:
            return None
        return cls(tuple(preprocessing["offset"]), tuple(preprocessing["unit"]))

    def plain(self) -> dict[str, list[float]]:
        """Plain values that `of_plain` reads."""
        return {"offset": list(self.offset), "unit": list(self.unit)}

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float64]:
        """(B, C, H, W) of any type -> the same shape."""
        offset, unit = (np.array(part)[:, None, None] for part in (self.offset, self.unit))
        return np.asarray((images.astype(np.float64) - offset) / unit)

    def own(self, moments: Sequence[float], is_mean: bool) -> tuple[float, ...]:
        """Means or deviations of C channels in the images' own units -> those of the narrowed images."""
        shifts = self.offset if is_mean else (0.0,) * len(self.offset)
        return tuple((value - shift) / unit for value, shift, unit in zip(moments, shifts, self.unit, strict=True))


def between(read: Narrowing | None, wanted: Narrowing | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(scale, shift) with which images as `read` narrowed them are as `wanted` narrows them: x * scale + shift.

    None stands for images as they are. Each has the shape (C, 1, 1), or (1, 1, 1) where both are None.
    """
    plain = Narrowing((0.0,), (1.0,))
    before, after = read or plain, wanted or plain
    units, offsets = (np.array(part) for part in (before.unit, before.offset))
    scale, shift = units / np.array(after.unit), (offsets - np.array(after.offset)) / np.array(after.unit)
    return scale[:, None, None], shift[:, None, None]
