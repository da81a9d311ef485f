"""A folder of image files: each class a folder, kept in memory as uint8 where it fits and streamed where it does not.

Symbols: N files, C channels, S height and width of the images that come out.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import SPLITS, DataBundle
from dlexp.data.images.cross_split_copies import check_copies
from dlexp.data.images.decoding import ImageFiles, shown, unreadable
from dlexp.data.images.image_set import Form, ImageSet
from dlexp.data.images.listing import Listing, Look, list_images, look
from dlexp.data.images.placement import Placing, in_threads, pieces
from dlexp.data.splitting import Rows, held_out, split_rows
from dlexp.errors import DataError

__all__ = ["image_folder"]

_NAMED = 50  # files that a note names; meta.json has all of them
_DECODED_TO_NAME = 20_000  # files, most of which decode in a few milliseconds


def image_folder(
    *,
    path: str,
    image_size: int = 64,
    resize: str = "crop",
    resize_to: int | None = None,
    channels: int | str = "auto",
    on_bad: str = "fail",
    allow_duplicates: bool = False,
    in_memory: bool | str = "auto",
    workers: int | str = "auto",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 4,
) -> DataBundle:
    """The images below `path`, inputs (C, S, S) uint8, one class for each folder.

    Folders train, val and test (or training, validation, dev, ..., in any letter case) with the classes in each are the
    splits; a missing val or test is held out of train. The first look reads headers and both ends of every file;
    whoever wants damage in the middle of a file to be found before training asks for data.on_bad=skip or
    data.in_memory=true, which decode all of them.
    Raises DataError for what cannot be trained on, ValueError for what `Form` refuses and for a mean and deviation
    that do not fit the channels.
    """
    form = Form(channels, image_size, resize, resize_to)
    root = Path(path)
    files = whole_files(root, list_images(root), on_bad)
    try:
        rows = _rows(files.listing, val_fraction, test_fraction, split_seed)
    except DataError as error:
        raise DataError(str(error), file=root, code=error.code) from error
    found = files.split(rows, form, allow_duplicates)
    bundle = found.bundle(Placing(in_memory, workers), (mean, std), (augment, pad))
    return files.told(bundle)


@dataclass(frozen=True)
class WholeFiles:
    """The files of a folder that can be read, and a look at each.

    notes     what was left out, in words
    left_out  each file that was, and why where it is no image
    damaged   those of them that are none
    """

    root: Path
    listing: Listing
    looks: list[Look]
    notes: list[str] = field(default_factory=list)
    left_out: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()

    def told(self, bundle: DataBundle) -> DataBundle:
        """`bundle`, made of these files, with their names and those of the others."""
        # The names alone: a bundle lives as long as the run, and the looks at a large folder are large.
        named = partial(_named, self.listing.names)
        return replace(bundle, left_out=self.left_out, damaged=self.damaged, named=named)

    def split(self, rows: tuple[Rows, ...], form: Form, allow_duplicates: bool) -> ImageSet:
        """The images of `rows` (train, val, test), as `form` says.

        Raises DataError for copies across the folder's own splits, unless they are allowed.
        """
        copies = check_copies(self.root, self.listing, self.looks, rows, allow_duplicates)
        is_grey = all(found.is_grey for found in self.looks) if form.channels == "auto" else form.channels == 1
        return ImageSet(
            ImageFiles(self.root, self.listing.names, 1 if is_grey else 3, form.stored, form.resize),
            self.listing.labels,
            self.listing.classes,
            rows,
            _fingerprint(self.listing, self.looks),
            form.preprocessing(),
            (*self.notes, *copies),
            form.image_size,
        )


def _named(names: NDArray[np.bytes_], rows: Rows) -> list[str]:
    return [shown(os.fsdecode(bytes(name))) for name in names[rows]]


def whole_files(root: Path, listing: Listing, on_bad: str) -> WholeFiles:
    """The files that can be read. Raises DataError naming those that cannot, when none may be left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd metadata and of very large images; both can be read
        looks = list(in_threads(lambda name: look(root, bytes(name)), listing.names))
        failures = [(os.fsdecode(name), seen.problem) for name, seen in zip(listing.names, looks, strict=True)]
        failures = [failure for failure in failures if failure[1]]
        # Once one is known to be damaged all are decoded, so that one answer names all, unless that would take long.
        all_of_them = on_bad == "skip" or (bool(failures) and len(looks) <= _DECODED_TO_NAME)
        unsure = [n for n, seen in enumerate(looks) if not seen.problem and (all_of_them or not seen.is_whole)]
        trial = ImageFiles(root, listing.names, 3, 8, "stretch")
        for _, damaged in in_threads(trial.attempt, pieces(np.array(unsure, dtype=np.int64))):
            failures += damaged
    notes, left_out = [], tuple(shown(name) for name in (*listing.others, *listing.loose))
    texts: list[str] = []
    if listing.others:
        notes.append(_left_out("that have no suffix of an image", listing.others))
    if listing.loose:
        notes.append(_left_out("that have no folder of a class", listing.loose))
    if failures and on_bad == "fail":
        raise unreadable(root, sorted(failures))
    if failures:
        bad = {os.fsencode(name) for name, _ in failures}
        kept = np.array([n for n, name in enumerate(listing.names) if bytes(name) not in bad], dtype=np.int64)
        listing, looks = listing.only(kept), [looks[n] for n in kept]
        texts = [f"{name} ({why})" for name, why in sorted(failures)]
        notes.append(_left_out("that cannot be read as images", texts))
    unread = tuple(map(shown, texts))
    return WholeFiles(root, listing, looks, notes, (*left_out, *unread), unread)


def _rows(listing: Listing, val_fraction: float, test_fraction: float, seed: int) -> tuple[Rows, ...]:
    """Row numbers of train, val and test: as the folders say, or divided here."""
    labels, classes = listing.labels, listing.classes
    if not (listing.splits != "").any():
        return split_rows(len(labels), (val_fraction, test_fraction, seed), labels, classes)
    rows = {name: np.flatnonzero(listing.splits == name).astype(np.int64) for name in SPLITS}
    for name, share in (("val", val_fraction), ("test", test_fraction)):
        if name not in listing.splits:
            rows["train"], rows[name] = held_out(rows["train"], labels, classes, share, seed)
    return rows["train"], rows["val"], rows["test"]


def _fingerprint(listing: Listing, looks: list[Look]) -> str:
    """SHA-256 over the names, the sizes and the contents (of a large file both ends)."""
    digest = hashlib.sha256()
    for name, seen in zip(listing.names, looks, strict=True):
        digest.update(bytes(name) + b"\0" + seen.digest)
    return digest.hexdigest()


def _left_out(what: str, names: Iterable[str]) -> str:
    names = list(names)
    more = f", and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    files = "file" if len(names) == 1 else "files"
    what = what.replace("that have", "that has") if len(names) == 1 else what
    return f"{len(names):,} {files} {what} left out: {', '.join(map(shown, names[:_NAMED]))}{more}"
