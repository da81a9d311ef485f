"""Listings of the files in a folder, with classes and splits, and a quick scan of each image file.

Symbols: N files.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlexp.artifacts.files.reading import NotReadableError, open_regular
from dlexp.data.images.bit_depth import white_of
from dlexp.data.images.decoding import is_gray, printable_name, reason
from dlexp.data.paths import did_you_mean
from dlexp.data.split_names import split_folders
from dlexp.errors import DataError

_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
    *(".pnm", ".avif", ".jp2", ".tga"),
)
ENDS = 1 << 15  # bytes hashed at either end of a file; smaller files are hashed completely


@dataclass(frozen=True)
class FileKind:
    """The files that a folder is searched for.

    suffixes  in lower case
    plural    what messages call them
    """

    suffixes: tuple[str, ...]
    plural: str


IMAGES = FileKind(_SUFFIXES, "images")


@dataclass(frozen=True)
class Listing:
    """The files of a folder.

    names    (N,) bytes, paths relative to the folder, sorted
    labels   (N,) class numbers
    splits   (N,) train, val or test if the folder has splits, else ""
    classes  the names of the class folders, sorted
    others   files with another suffix
    loose    files outside of the class folders
    """

    names: NDArray[np.bytes_]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    classes: tuple[str, ...]
    others: tuple[str, ...]
    loose: tuple[str, ...] = ()

    def only(self, rows: NDArray[np.int64]) -> Listing:
        """The listing of the files `rows` only, with all classes."""
        return Listing(self.names[rows], self.labels[rows], self.splits[rows], self.classes, self.others, self.loose)


@dataclass(frozen=True)
class QuickScan:
    """The result of reading the header and both ends of a file.

    digest       SHA-256 of its size and its ends
    is_complete  whether it has the end mark of its format; False for formats without one
    problem      the reason why it is not an image, "" if it seems to be one
    """

    digest: bytes
    is_gray: bool
    is_complete: bool
    problem: str


def list_files(
    root: Path, parts: Mapping[str, str] | None = None, kind: FileKind = IMAGES, untrained: Collection[str] = ()
) -> Listing:
    """List the files in `root`, whose folders are the classes, or train, val and test with the classes in each.

    parts  split -> its folder, ignoring other folders; None to derive it from the names (`split_folders`)
    kind   the files to list, images by default
    untrained  classes that need no training images
    Raises DataError for a missing folder, fewer than two classes, another class without training images, and for
    folders that may be either splits or classes.
    """
    if not root.is_dir():
        if root.exists():
            raise DataError("is a file, not a folder", file=root, remedy=did_you_mean(root), code="invalid-type")
        raise DataError("folder not found", file=root, remedy=did_you_mean(root), code="not-found")
    folders = _folders(root)
    outside: list[str] = []
    if parts is None:
        parts = split_folders(root, {name: _folders(root / name) for name in folders}, partial(_has_files, kind))
        if parts:
            beside = [name for name in folders if name not in parts.values()]
            outside = [os.path.relpath(path, root) for name in beside for path in _files(root / name, set())]
            outside += _loose(root)
    places = [(name, split) for split, name in parts.items()] or [("", "")]
    train_folder = root / parts.get("train", "")
    classes = tuple(sorted({name for place, _ in places for name in _folders(root / place)}))
    _check_classes(root, classes, train_folder, kind)
    found, others = [], list[str]()
    loose: list[str] = []
    for place, split in places:
        for number, name in enumerate(classes):
            for path in _files(root / place / name, set()):
                relative = os.path.relpath(path, root)
                if path.lower().endswith(kind.suffixes):
                    found.append((os.fsencode(relative), number, split))
                else:
                    others.append(relative)
    outside += [os.path.join(place, name) for place, _ in places for name in _loose(root / place)]  # noqa: PTH118
    for name in outside:
        (loose if name.lower().endswith(kind.suffixes) else others).append(name)
    found.sort()
    labels = np.array([number for _, number, _ in found], dtype=np.int64)
    splits = np.array([split for _, _, split in found], dtype=np.str_)
    trained = labels[splits == "train"] if parts else labels
    for number, name in enumerate(classes):
        if number not in trained and name not in untrained:
            remedy = f"Add {kind.plural}, or remove the folder."
            rule = f"class {name!r} has no training {kind.plural}"
            raise DataError(rule, file=train_folder / name, remedy=remedy, code="too-few-samples")
    names = np.array([name for name, _, _ in found], dtype=np.bytes_)
    return Listing(names, labels, splits, classes, tuple(others), tuple(loose))


def quick_scan(root: Path, name: bytes) -> QuickScan:
    """Scan the file `name` in `root`, without decoding it."""
    from PIL import Image

    try:
        with open_regular(os.path.join(os.fsencode(root), name)) as file:  # noqa: PTH118 - a Path is slower
            ends = file.read(ENDS)
            size = os.fstat(file.fileno()).st_size
            if size > ENDS:
                file.seek(max(ENDS, size - ENDS))
                ends += file.read(ENDS)
            digest = hashlib.sha256(b"%d " % size + ends).digest()
            file.seek(0)
            with Image.open(file) as image:
                white_of(image)
                mode, kind = image.mode, image.format or ""
    except NotReadableError as error:
        return QuickScan(b"", False, False, error.strerror or str(error))
    except Exception as error:  # Pillow raises many types for damaged files
        return QuickScan(b"", False, False, "is empty" if _is_empty(root, name) else reason(error))
    tail = ends.rstrip(b"\0\r\n ")
    is_complete = {"JPEG": tail.endswith(b"\xff\xd9"), "PNG": tail.endswith(b"IEND\xaeB`\x82")}.get(kind, False)
    return QuickScan(digest, is_gray(mode), is_complete, "")


def files_below(folder: Path, suffixes: tuple[str, ...] = _SUFFIXES) -> tuple[list[str], list[str]]:
    """(files in `folder` and its subfolders with one of `suffixes`, sorted; other files), without hidden ones."""
    found = [path for path in _files(folder, set()) if f"{os.sep}." not in path[len(str(folder)) :]]
    wanted = [path for path in found if path.lower().endswith(suffixes)]
    return wanted, [path for path in found if not path.lower().endswith(suffixes)]


def _has_files(kind: FileKind, folder: Path) -> bool:
    return any(path.lower().endswith(kind.suffixes) for path in _files(folder, set()))


def _is_empty(root: Path, name: bytes) -> bool:
    try:
        return (root / os.fsdecode(name)).stat().st_size == 0
    except OSError:
        return False


def _folders(place: Path) -> list[str]:
    """The names of the folders in `place`, without hidden ones; [] if there is no such folder."""
    if not place.is_dir():
        return []
    with os.scandir(place) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _loose(place: Path) -> list[str]:
    """Files next to the class folders."""
    with os.scandir(place) as entries:
        return sorted(entry.name for entry in entries if entry.is_file())


def _files(folder: Path, above: set[str]) -> Iterator[str]:
    """Every file in `folder` and its subfolders, following links except to a parent."""
    here = os.path.realpath(folder)
    if here in above or not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        in_order = sorted(entries, key=lambda entry: entry.name)
    for entry in in_order:
        if entry.is_dir():
            yield from _files(Path(entry.path), above | {here})
        elif entry.is_file() or entry.is_symlink():
            yield entry.path


def _check_classes(root: Path, classes: tuple[str, ...], place: Path, kind: FileKind) -> None:
    for name in classes:
        if not name.isprintable():
            raise DataError(f"folder {printable_name(name)}: the name has unprintable characters", file=root)
    if len(classes) >= 2:
        return
    if classes:
        rule, remedy = f"must have two or more class folders, got only {classes[0]!r}", "Add a folder of another class"
        if _folders(place / classes[0]):
            remedy += f", or, if its folders are the classes, set data.path={place / classes[0]}"
    else:
        rule, remedy = (
            "no class folders found",
            f"Put the {kind.plural} of each class into a folder named after the class.",
        )
    raise DataError(rule, file=place, remedy=remedy)
