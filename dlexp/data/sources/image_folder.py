"""The data source `image_folder`: one folder per class, kept in memory as uint8 or streamed.

Symbols: N files, C channels, S height and width after resizing.
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
from dlexp.data.images.decoding import ImageFiles, printable_name, unreadable
from dlexp.data.images.file_groups import keys_of_files
from dlexp.data.images.image_set import ImageFormat, ImageSet
from dlexp.data.images.listing import Listing, QuickScan, quick_scan
from dlexp.data.images.placement import Placement, in_threads, pieces
from dlexp.data.images.several_folders import list_folders
from dlexp.data.splits.anomalies import anomaly_numbers
from dlexp.data.splits.division import Division, divide
from dlexp.data.splitting import Rows, Shares, held_out, split_rows
from dlexp.errors import DataError

__all__ = ["image_folder"]

_NAMED = 50  # files listed in a note; meta.json lists all
_DECODED_TO_NAME = 20_000  # files up to which all are decoded to list every damaged one


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
    group: str | None = None,
    val_path: str | None = None,
    test_path: str | None = None,
    anomalies: Sequence[str] = (),
) -> DataBundle:
    """Load the images in `path`, inputs (C, S, S) uint8, one class per folder.

    Folders train, val and test (or training, validation, dev, ..., in any case) with class folders in each are the
    splits, or val_path and test_path are folders of their own; a missing val or test is held out from train, with no
    group of `keys_of_files` in two splits. The quick scan reads header and both ends of every file.
    data.on_bad=skip and data.in_memory=true decode all files, to find damage in their middle before training.
    Raises DataError for invalid data, ValueError as `ImageFormat` does and for a mean and deviation that do not match
    the channels.
    """
    form = ImageFormat(channels, image_size, resize, resize_to)
    root = Path(path)
    files = readable_files(root, list_folders((path, val_path, test_path), untrained=anomalies), on_bad)
    how = (val_fraction, test_fraction, split_seed)
    try:
        division = _division(root, files.listing, how, group, bool(val_path or test_path), anomalies)
    except DataError as error:
        raise DataError(error.rule, file=root, remedy=error.remedy, code=error.code) from error
    found = files.split(division.rows, form, allow_duplicates)
    bundle = found.bundle(Placement(in_memory, workers), (mean, std), (augment, pad))
    bundle = replace(bundle, notes=(*bundle.notes, *division.notes), groups=division.groups)
    return files.with_names(bundle)


@dataclass(frozen=True)
class ReadableFiles:
    """The readable image files of a folder.

    scans     the quick scan of each
    notes     messages about files that were left out
    left_out  the files that were left out, with the reason for unreadable ones
    damaged   the unreadable ones of them
    """

    root: Path
    listing: Listing
    scans: list[QuickScan]
    notes: list[str] = field(default_factory=list)
    left_out: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()

    def with_names(self, bundle: DataBundle) -> DataBundle:
        """`bundle`, made from these files, with the names of its samples and of the files left out."""
        # Only the names: the bundle lives as long as the run, and the scans of a large folder are large.
        named = partial(_named, self.listing.names)
        return replace(bundle, left_out=self.left_out, damaged=self.damaged, named=named)

    def split(self, rows: tuple[Rows, ...], form: ImageFormat, allow_duplicates: bool) -> ImageSet:
        """The image set of `rows` (train, val, test) in the given format.

        Raises DataError for duplicates across the splits of the folder, unless they are allowed.
        """
        notes = check_copies(self.root, self.listing, self.scans, rows, allow_duplicates)
        is_gray = all(scan.is_gray for scan in self.scans) if form.channels == "auto" else form.channels == 1
        return ImageSet(
            ImageFiles(self.root, self.listing.names, 1 if is_gray else 3, form.stored, form.resize),
            self.listing.labels,
            self.listing.classes,
            rows,
            _fingerprint(self.listing, self.scans),
            form.preprocessing(),
            (*self.notes, *notes),
            form.image_size,
        )


def _named(names: NDArray[np.bytes_], rows: Rows) -> list[str]:
    return [printable_name(os.fsdecode(bytes(name))) for name in names[rows]]


def readable_files(root: Path, listing: Listing, on_bad: str) -> ReadableFiles:
    """The readable files. Raises DataError that names the others, unless `on_bad` is skip."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about odd metadata and very large images, both readable
        scans = list(in_threads(lambda name: quick_scan(root, bytes(name)), listing.names))
        failures = [(os.fsdecode(name), scan.problem) for name, scan in zip(listing.names, scans, strict=True)]
        failures = [failure for failure in failures if failure[1]]
        # If one is damaged, all are decoded, so that one error lists all; not for many files, where it takes long.
        decodes_all = on_bad == "skip" or (bool(failures) and len(scans) <= _DECODED_TO_NAME)
        unsure = [n for n, scan in enumerate(scans) if not scan.problem and (decodes_all or not scan.is_complete)]
        trial = ImageFiles(root, listing.names, 3, 8, "stretch")
        for _, damaged in in_threads(trial.attempt, pieces(np.array(unsure, dtype=np.int64))):
            failures += damaged
    notes, left_out = [], tuple(printable_name(name) for name in (*listing.others, *listing.loose))
    texts: list[str] = []
    if listing.others:
        notes.append(_left_out("without an image suffix", listing.others))
    if listing.loose:
        notes.append(_left_out("outside of the class folders", listing.loose))
    if failures and on_bad == "fail":
        raise unreadable(root, sorted(failures))
    if failures:
        bad = {os.fsencode(name) for name, _ in failures}
        good = np.array([n for n, name in enumerate(listing.names) if bytes(name) not in bad], dtype=np.int64)
        listing, scans = listing.only(good), [scans[n] for n in good]
        texts = [f"{name} ({why})" for name, why in sorted(failures)]
        notes.append(_left_out("that are not readable as images", texts))
    unread = tuple(map(printable_name, texts))
    return ReadableFiles(root, listing, scans, notes, (*left_out, *unread), unread)


def _division(
    root: Path, listing: Listing, how: Shares, group: str | None, several: bool, anomalies: Sequence[str]
) -> Division:
    """The division into train, val and test: from the folders, or drawn, by groups where they are given."""
    exempt = anomaly_numbers(anomalies, listing.classes)
    if group is None and not several:
        return Division(_rows(listing, how, exempt))
    keys = keys_of_files(listing, group, root)
    return divide(len(listing.labels), how, listing.labels, listing.classes, keys, exempt)


def _rows(listing: Listing, how: Shares, exempt: Sequence[int]) -> tuple[Rows, Rows, Rows]:
    """Row numbers of train, val and test: from the folders, or drawn."""
    val_fraction, test_fraction, seed = how
    labels, classes = listing.labels, listing.classes
    if not (listing.splits != "").any():
        return split_rows(len(labels), (val_fraction, test_fraction, seed), labels, classes, exempt)
    rows = {name: np.flatnonzero(listing.splits == name).astype(np.int64) for name in SPLITS}
    for name, share in (("val", val_fraction), ("test", test_fraction)):
        if name not in listing.splits:
            rows["train"], rows[name] = held_out(rows["train"], labels, classes, share, seed, exempt)
    return rows["train"], rows["val"], rows["test"]


def _fingerprint(listing: Listing, scans: list[QuickScan]) -> str:
    """SHA-256 over names, sizes and contents (both ends of large files)."""
    digest = hashlib.sha256()
    for name, scan in zip(listing.names, scans, strict=True):
        digest.update(bytes(name) + b"\0" + scan.digest)
    return digest.hexdigest()


def _left_out(what: str, names: Iterable[str]) -> str:
    names = list(names)
    more = f", and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    files = "file" if len(names) == 1 else "files"
    what = what.replace("that are", "that is") if len(names) == 1 else what
    what = what.replace("as images", "as an image") if len(names) == 1 else what
    return f"{len(names):,} {files} {what} skipped: {', '.join(map(printable_name, names[:_NAMED]))}{more}"
