"""The data source `imagenet`: train and val with one folder per class, named by WordNet ID (ILSVRC 2012).

Symbols: C channels, S height and width after resizing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dlexp.artifacts.files.reading import read_text
from dlexp.data.bundle import DataBundle
from dlexp.data.images.image_set import ImageFormat
from dlexp.data.images.listing import list_files
from dlexp.data.images.placement import Placement
from dlexp.data.sources.image_folder import readable_files
from dlexp.data.splitting import Rows, held_out
from dlexp.errors import DataError

__all__ = ["imagenet"]

_PARTS = ("train", "val")
_NAMES = ("LOC_synset_mapping.txt", "words.txt")  # lines of a WordNet ID, then words
_ADVICE = (
    "Unpack the archives of image-net.org, which cannot be downloaded here, to PATH/train/nXXXXXXXX/*.JPEG and "
    "PATH/val/nXXXXXXXX/*.JPEG, and set data.path=PATH"
)


def imagenet(
    *,
    path: str,
    official_val: str = "test",
    image_size: int = 224,
    resize: str = "crop",
    resize_to: int | None = 256,
    on_bad: str = "fail",
    allow_duplicates: bool = False,
    in_memory: bool | str = "auto",
    workers: int | str = "auto",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    val_fraction: float = 0.02,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 4,
) -> DataBundle:
    """Load the images in `path`/train and `path`/val, inputs (3, S, S) uint8; also for other sets in this layout.

    official_val  use of the official validation part: test, with val held out from train; or val, with test held out
    val_fraction  fraction of train that is held out
    Classes get their English names if LOC_synset_mapping.txt or words.txt is in `path`. See `image_folder`.
    Raises DataError for invalid data, ValueError as `ImageFormat` does and for a mean and deviation that do not match.
    """
    form = ImageFormat(3, image_size, resize, resize_to)
    root = Path(path)
    for part in _PARTS:
        place = root / part
        if not place.is_dir() or not any(entry.is_dir() for entry in place.iterdir()):
            rule = f"folder {part} with one folder per class not found"
            raise DataError(rule, file=root, remedy=_ADVICE, code="not-found")
    files = readable_files(root, list_files(root, {part: part for part in _PARTS}), on_bad)
    listing = files.listing
    rows: dict[str, Rows] = {part: np.flatnonzero(listing.splits == part).astype(np.int64) for part in _PARTS}
    try:
        train, rest = held_out(rows["train"], listing.labels, listing.classes, val_fraction, split_seed)
    except DataError as error:
        raise DataError(str(error), file=root / "train", code=error.code) from error
    parts = (train, rest, rows["val"]) if official_val == "test" else (train, rows["val"], rest)
    found = files.split(parts, form, allow_duplicates)
    named = replace(found, names=_names(root, listing.classes))
    bundle = named.bundle(Placement(in_memory, workers), (mean, std), (augment, pad))
    return files.with_names(bundle)


def _names(root: Path, numbers: tuple[str, ...]) -> tuple[str, ...]:
    """The first English word of each WordNet ID, followed by the ID if two have the same word.

    The ID alone if no file in `root` has a word for it.
    """
    words: dict[str, str] = {}
    for path in (root / name for name in _NAMES):
        if path.is_file():
            lines = (line.split(maxsplit=1) for line in read_text(path, errors="replace").splitlines())
            words |= {line[0]: line[1].partition(",")[0].strip() for line in lines if len(line) == 2}
            break
    found = [words.get(number, number) for number in numbers]
    return tuple(
        f"{word} ({number})" if found.count(word) > 1 else word for word, number in zip(found, numbers, strict=True)
    )
