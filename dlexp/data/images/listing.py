"""The image files under a folder: which there are, of which class, and whether they look whole.

Symbols: N files.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlexp.artifacts.files.reading import NotReadableError, open_regular
from dlexp.data.images.bit_depth import white_of
from dlexp.data.images.decoding import is_grey, reason, shown
from dlexp.data.paths import near
from dlexp.data.split_names import split_folders
from dlexp.errors import DataError

_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
    *(".pnm", ".avif", ".jp2", ".tga"),
)
ENDS = 1 << 15  # bytes at either end of a file that are hashed; a file of up to twice as many is hashed whole


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    names    (N,) bytes, relative to the folder, in order
    labels   (N,) class numbers
    splits   (N,) train, val or test where the folder comes divided, "" where it does not
    classes  the names of the folders, in order
    others   files that have no suffix of an image
    loose    images that lie in no folder of a class
    """

    names: NDArray[np.bytes_]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    classes: tuple[str, ...]
    others: tuple[str, ...]
    loose: tuple[str, ...] = ()

    def only(self, rows: NDArray[np.int64]) -> Listing:
        """The files `rows` alone, with all classes."""
        return Listing(self.names[rows], self.labels[rows], self.splits[rows], self.classes, self.others, self.loose)


@dataclass(frozen=True)
class Look:
    """A first look at a file, which reads its header and both ends.

    digest    SHA-256 of its size and its ends
    is_whole  whether it has the end mark of its format; many formats have none, and only decoding tells
    problem   why it is no image, "" if it seems one
    """

    digest: bytes
    is_grey: bool
    is_whole: bool
    problem: str


def list_images(root: Path, parts: Mapping[str, str] | None = None) -> Listing:
    """The images below `root`, whose folders are the classes, or train, val and test with the classes in each.

    parts  split -> its folder, whatever else lies beside them; None to see it from their names (`split_folders`)
    Raises DataError for a folder that is not there, that has no or one class, or a class without an image, and for
    folders that may be splits or classes.
    """
    if not root.is_dir():
        if root.exists():
            raise DataError("is a file, not a folder", file=root, remedy=near(root), code="invalid-type")
        raise DataError("there is no such folder", file=root, remedy=near(root), code="not-found")
    folders = _folders(root)
    outside: list[str] = []
    if parts is None:
        parts = split_folders(root, {name: _folders(root / name) for name in folders}, _has_images)
        if parts:
            beside = [name for name in folders if name not in parts.values()]
            outside = [os.path.relpath(path, root) for name in beside for path in _files(root / name, set())]
            outside += _loose(root)
    places = [(name, split) for split, name in parts.items()] or [("", "")]
    learnt_from = root / parts.get("train", "")
    classes = tuple(sorted({name for place, _ in places for name in _folders(root / place)}))
    _check_classes(root, classes, learnt_from)
    found, others = [], list[str]()
    loose: list[str] = []
    for place, split in places:
        for number, name in enumerate(classes):
            for path in _files(root / place / name, set()):
                relative = os.path.relpath(path, root)
                if path.lower().endswith(_SUFFIXES):
                    found.append((os.fsencode(relative), number, split))
                else:
                    others.append(relative)
    outside += [os.path.join(place, name) for place, _ in places for name in _loose(root / place)]  # noqa: PTH118
    for name in outside:
        (loose if name.lower().endswith(_SUFFIXES) else others).append(name)
    found.sort()
    labels = np.array([number for _, number, _ in found], dtype=np.int64)
    splits = np.array([split for _, _, split in found], dtype=np.str_)
    learnt = labels[splits == "train"] if parts else labels
    for number, name in enumerate(classes):
        if number not in learnt:
            remedy = "add some, or remove the folder"
            rule = f"class {name!r} has no images to learn from"
            raise DataError(rule, file=learnt_from / name, remedy=remedy, code="too-few-samples")
    names = np.array([name for name, _, _ in found], dtype=np.bytes_)
    return Listing(names, labels, splits, classes, tuple(others), tuple(loose))


def look(root: Path, name: bytes) -> Look:
    """Open the file `name` below `root`, without decoding it."""
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
        return Look(b"", False, False, error.strerror or str(error))
    except Exception as error:  # Pillow raises all kinds for damaged files
        return Look(b"", False, False, "is empty" if _is_empty(root, name) else reason(error))
    tail = ends.rstrip(b"\0\r\n ")
    is_whole = {"JPEG": tail.endswith(b"\xff\xd9"), "PNG": tail.endswith(b"IEND\xaeB`\x82")}.get(kind, False)
    return Look(digest, is_grey(mode), is_whole, "")


def files_below(folder: Path, suffixes: tuple[str, ...] = _SUFFIXES) -> tuple[list[str], list[str]]:
    """(the files below `folder` with one of `suffixes`, in order; the others), hidden ones left out."""
    found = [path for path in _files(folder, set()) if f"{os.sep}." not in path[len(str(folder)) :]]
    wanted = [path for path in found if path.lower().endswith(suffixes)]
    return wanted, [path for path in found if not path.lower().endswith(suffixes)]


def _has_images(folder: Path) -> bool:
    return any(path.lower().endswith(_SUFFIXES) for path in _files(folder, set()))


def _is_empty(root: Path, name: bytes) -> bool:
    try:
        return (root / os.fsdecode(name)).stat().st_size == 0
    except OSError:
        return False


def _folders(place: Path) -> list[str]:
    """The names of the folders in `place`, hidden ones left out; [] where there is no such place."""
    if not place.is_dir():
        return []
    with os.scandir(place) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _loose(place: Path) -> list[str]:
    """Files beside the classes."""
    with os.scandir(place) as entries:
        return sorted(entry.name for entry in entries if entry.is_file())


def _files(folder: Path, above: set[str]) -> Iterator[str]:
    """Every file below `folder`, through links too, except those that lead back up."""
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


def _check_classes(root: Path, classes: tuple[str, ...], place: Path) -> None:
    for name in classes:
        if not name.isprintable():
            raise DataError(f"the folder {shown(name)} has a name that cannot be printed", file=root)
    if len(classes) >= 2:
        return
    if classes:
        rule, remedy = f"holds one class only, {classes[0]!r}", "add a folder of images of something else"
        if _folders(place / classes[0]):
            remedy += f"; if its folders are the classes, set data.path={place / classes[0]}"
    else:
        rule, remedy = "has no folders of images", "put the images of each class into a folder named after the class"
    raise DataError(rule, file=place, remedy=remedy)
