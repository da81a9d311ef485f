"""A photo whose content is kept, and a picture whose style it gets.

Symbols: H and W height and width in pixels.
"""

from __future__ import annotations

from pathlib import Path

import torch

from dlexp.data.bundle import SPLITS, DataBundle, Split, fingerprint_of
from dlexp.data.columns import Constant
from dlexp.data.images.normalization import WHITE, moments
from dlexp.data.sources.photos.reading import INCLUDED, included, middle_of_size, read_photo
from dlexp.errors import DataError
from dlexp.specs import DataSpec, ImageSpec, ImageTargetSpec

__all__ = ["style_pair"]

_SMALLEST = 8  # pixels of a side


def style_pair(
    *, content: str | None = None, style: str | None = None, longer_side: int = 128, updates_per_epoch: int = 25
) -> DataBundle:
    """One pair: the content (3, H, W) uint8 is the input, the style of the same size the target.

    All splits have this pair, since the picture itself is what is made; the training split has it as often as an epoch
    has updates of one sample.

    Args:
        content: File whose content is kept, in its shape; None for the photo of a temple of scikit-learn.
        style: File whose style it gets, cut to the same shape; None for scikit-learn's photo of a flower.
        longer_side: Of the picture that is made, in pixels.
        updates_per_epoch: Samples of the training split.

    Raises DataError for files that cannot be read.
    """
    files = [Path(given) if given else included(name) for given, name in zip((content, style), INCLUDED, strict=True)]
    given = [read_photo(path) for path in files]
    height, width = given[0].shape[1:]
    high, wide = (max(1, round(side * longer_side / max(height, width))) for side in (height, width))
    if min(high, wide) < _SMALLEST:
        rule = (
            f"is {width} x {height} pixels: with a longer side of {longer_side} the shorter one has {min(high, wide)}"
        )
        raise DataError(rule, file=files[0], remedy="Set a larger data.longer_side", code="incompatible-data")
    kept, wanted = (middle_of_size(photo, (high, wide))[None] for photo in given)
    counts, first, splits = {"train": updates_per_epoch, "val": 1, "test": 1}, 0, {}
    for name in SPLITS:
        rows = torch.arange(first, first + counts[name])
        splits[name] = Split(Constant(kept, counts[name]), Constant(wanted, counts[name]), rows)
        first += counts[name]
    measured = moments([kept])
    return DataBundle(
        spec=DataSpec(ImageSpec(3, high, wide), ImageTargetSpec(3, high, wide, WHITE)),
        splits=splits,
        preprocess=measured.normalization(high, wide),
        fingerprint=fingerprint_of(kept.numpy(), wanted.numpy()),
        preprocessing={"kind": "image", "white": WHITE, "mean": list(measured.mean), "std": list(measured.std)},
        notes=(f"content: {files[0].name}; style: {files[1].name}; {wide} x {high} pixels",),
    )
