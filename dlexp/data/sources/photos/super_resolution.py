"""Pairs of patches of photos: a low resolution as input, the original as target.

The low resolution is made of the original by dlexp, so that both show the same place. Whole regions of a photo, or
whole photos, are in one split.

Symbols: N patches, S side of a patch, f the factor between the resolutions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import SPLITS, DataBundle, Split, fingerprint_of
from dlexp.data.images.decoding import printable_name
from dlexp.data.images.normalization import WHITE, moments
from dlexp.data.images.patches import downscaled, patches, regions
from dlexp.data.sources.photos.reading import INCLUDED, included, photos_below, read_photo
from dlexp.data.splits.division import RowKeys, divide
from dlexp.data.splitting import Shares
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.specs import DataSpec, ImageSpec, ImageTargetSpec

__all__ = ["photos", "super_resolution"]

_ACROSS = 4  # patches along a side of a region
_FEWEST = 5  # photos from which on whole photos are in a split


@dataclass(frozen=True)
class _Patches:
    """The patches of all photos.

    values   (N, 3, S, S) uint8
    photos   (N,) number of the photo of each
    regions  (N,) number of its region, which no other photo has
    names    of the photos
    """

    values: Tensor
    photos: NDArray[np.int64]
    regions: NDArray[np.int64]
    names: tuple[str, ...]


def photos(
    *,
    patch_size: int = 32,
    factor: int = 2,
    downscale: str = "bicubic",
    patches_per_photo: int | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 2,
) -> DataBundle:
    """520 patches of two photos of scikit-learn, a temple and a flower: inputs (3, S / f, S / f), targets (3, S, S).

    Splits have different regions of 4 x 4 patches. Raises ValueError and DataError as `super_resolution` does.
    """
    files = [included(name) for name in INCLUDED]
    found = _cut(files, Path(), patch_size, patches_per_photo, split_seed)
    return _bundle(found, (factor, downscale), (val_fraction, test_fraction, split_seed), (augment, pad))


def super_resolution(
    *,
    path: str,
    patch_size: int = 32,
    factor: int = 2,
    downscale: str = "bicubic",
    patches_per_photo: int | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 2,
) -> DataBundle:
    """Patches of the photos in a folder and in those below it: inputs (3, S / f, S / f), targets (3, S, S) uint8.

    Of five photos and more, each is in one split; of fewer, splits have different regions of 4 x 4 patches.

    patches_per_photo  how many of each are used, drawn by `split_seed`; None for all
    Raises ValueError for a factor that does not divide the patches, DataError for files that cannot be read and for
    photos without a whole patch.
    """
    root = Path(path)
    found = _cut(photos_below(root), root, patch_size, patches_per_photo, split_seed)
    return _bundle(found, (factor, downscale), (val_fraction, test_fraction, split_seed), (augment, pad))


def _cut(files: Sequence[Path], root: Path, side: int, most: int | None, seed: int) -> _Patches:
    """The patches of all files. Raises DataError where one is smaller than a patch."""
    values: list[Tensor] = []
    of_photo, of_region = [], []
    first = 0
    for number, path in enumerate(files):
        photo = read_photo(path)
        height, width = photo.shape[1:]
        if min(height, width) < side:
            rule = f"is smaller than a patch of {side} x {side} pixels: {height} x {width}"
            remedy = f"Set data.patch_size={min(height, width)}, or remove the file"
            raise DataError(rule, file=path, remedy=remedy, code="incompatible-data")
        found, places = patches(photo, side), regions(height, width, side, _ACROSS)
        if most is not None and most < len(found):
            chosen = np.sort(np.random.default_rng((seed, number)).permutation(len(found))[:most])
            found, places = found[torch.from_numpy(chosen)].clone(), places[chosen]
        values.append(found)
        of_photo.append(np.full(len(found), number, dtype=np.int64))
        of_region.append(first + places)
        first += int(places.max()) + 1
    names = tuple(printable_name(str(path.relative_to(root) if root.parts else path.name)) for path in files)
    numbers = np.concatenate(of_region)
    return _Patches(torch.cat(values), np.concatenate(of_photo), numbers, names)


def _bundle(
    found: _Patches, scaling: tuple[int, str], how: Shares, change: tuple[str | Sequence[Any], int]
) -> DataBundle:
    """The bundle of the patches with their low resolutions; scaling is (f, how it is made)."""
    factor, downscale = scaling
    low = downscaled(found.values, factor, downscale)
    by_photo = len(found.names) >= _FEWEST
    given = found.photos if by_photo else found.regions
    groups = np.unique(given, return_inverse=True)[1].astype(np.int64)
    division = divide(len(low), how, None, (), RowKeys(groups, [str(n) for n in range(int(groups.max()) + 1)]))
    splits = {
        name: Split.in_memory(low[part], found.values[part], torch.from_numpy(part))
        for name, part in zip(SPLITS, division.rows, strict=True)
    }
    channels, high, wide = found.values.shape[1:]
    measured = moments([low[division.rows[0]]])
    return DataBundle(
        spec=DataSpec(
            ImageSpec(channels, high // factor, wide // factor), ImageTargetSpec(channels, high, wide, WHITE, factor)
        ),
        splits=splits,
        preprocess=measured.normalization(high // factor, wide // factor),
        fingerprint=fingerprint_of(low.numpy(), found.values.numpy()),
        preprocessing={
            "kind": "image",
            "white": WHITE,
            "mean": list(measured.mean),
            "std": list(measured.std),
            "factor": factor,
            "downscale": downscale,
        },
        augment=change[0],
        pad=change[1],
        notes=tuple(_notes(found, by_photo)),
        named=partial(_named, names=found.names, photos=found.photos),
        groups=groups,
    )


def _notes(found: _Patches, by_photo: bool) -> Iterator[str]:
    """What a person should know of the splits."""
    cut = f"{counted(len(found.values), 'patch', 'patches')} of {counted(len(found.names), 'photo')}"
    if by_photo:
        yield f"{cut}; each photo is in one split"
    else:
        yield f"{cut}; splits have different regions of {_ACROSS} x {_ACROSS} patches"


def _named(rows: NDArray[np.int64], names: Sequence[str], photos: NDArray[np.int64]) -> list[str]:
    """The photo of each patch, and the number of the patch."""
    return [f"{names[photo]}, patch {row}" for photo, row in zip(photos[rows].tolist(), rows.tolist(), strict=True)]
