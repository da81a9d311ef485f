"""The layout of ImageNet (ILSVRC 2012): train and val with a folder for each class, named by its WordNet number.

Symbols: C channels, S height and width of the images that come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dlexp.artifacts.files.reading import read_text
from dlexp.data.bundle import DataBundle
from dlexp.data.images.image_set import Form
from dlexp.data.images.listing import list_images
from dlexp.data.images.placement import Placing
from dlexp.data.sources.image_folder import whole_files
from dlexp.data.splitting import Rows, held_out
from dlexp.errors import DataError

__all__ = ["imagenet"]

_PARTS = ("train", "val")
_NAMES = ("LOC_synset_mapping.txt", "words.txt")  # lines of a WordNet number, then words
_ADVICE = (
    "ImageNet is not fetched here: unpack the archives of image-net.org to PATH/train/nXXXXXXXX/*.JPEG and "
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
    """The images below `path`/train and `path`/val, inputs (3, S, S) uint8; also of other sets in this layout.

    official_val  what the official validation part is used as: test, and validation is held out of train; or val, and
                  test is held out of train
    val_fraction  share of train that is held out
    Classes have their English names where LOC_synset_mapping.txt or words.txt lies in `path`. See `image_folder`.
    Raises DataError for what cannot be trained on, ValueError for what `Form` refuses and for a mean and deviation
    that do not fit.
    """
    form = Form(3, image_size, resize, resize_to)
    root = Path(path)
    for part in _PARTS:
        place = root / part
        if not place.is_dir() or not any(entry.is_dir() for entry in place.iterdir()):
            rule = f"has no folder {part} with a folder for each class"
            raise DataError(rule, file=root, remedy=_ADVICE, code="not-found")
    files = whole_files(root, list_images(root, {part: part for part in _PARTS}), on_bad)
    listing = files.listing
    rows: dict[str, Rows] = {part: np.flatnonzero(listing.splits == part).astype(np.int64) for part in _PARTS}
    try:
        kept, held = held_out(rows["train"], listing.labels, listing.classes, val_fraction, split_seed)
    except DataError as error:
        raise DataError(str(error), file=root / "train", code=error.code) from error
    parts = (kept, held, rows["val"]) if official_val == "test" else (kept, rows["val"], held)
    found = files.split(parts, form, allow_duplicates)
    named = replace(found, names=_names(root, listing.classes))
    bundle = named.bundle(Placing(in_memory, workers), (mean, std), (augment, pad))
    return files.told(bundle)


def _names(root: Path, numbers: tuple[str, ...]) -> tuple[str, ...]:
    """The first English word of each WordNet number, with the number where two have the same word.

    The number alone where nothing in `root` says a word.
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
