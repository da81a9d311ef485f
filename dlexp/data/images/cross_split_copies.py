"""Exact duplicates of image files across splits, which would make held-out metrics invalid.

Symbols: N files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlexp.artifacts.files.reading import NO_LIMIT, open_regular
from dlexp.data.images.decoding import list_lines, printable_name
from dlexp.data.images.listing import ENDS, Listing, QuickScan
from dlexp.data.splitting import Rows
from dlexp.errors import DataError

_READ = 1 << 20  # bytes of a file at a time


def check_copies(
    root: Path, listing: Listing, scans: Sequence[QuickScan], rows: Sequence[Rows], allowed: bool
) -> tuple[str, ...]:
    """Messages to the user about duplicates across splits.

    rows     numbers of the files of train, val and test
    allowed  whether duplicates across the splits of the folder itself are only reported
    Raises DataError that names them otherwise. Duplicates across splits drawn by dlexp are only reported.
    """
    part: NDArray[np.int64] = np.full(len(listing.names), -1, dtype=np.int64)
    for number, some in enumerate(rows):
        part[some] = number
    own: list[str] = []
    drawn: list[str] = []
    for group in _groups(root, listing, scans, part):
        names = " = ".join(printable_name(bytes(listing.names[n]).decode("utf-8", "surrogateescape")) for n in group)
        (own if len({str(listing.splits[n]) for n in group}) > 1 else drawn).append(names)
    if own and not allowed:
        rule = f"{_images(own)} in more than one split, which makes held-out metrics invalid{list_lines(own)}\n"
        remedy = "Delete the duplicates, or set data.allow_duplicates=true"
        raise DataError(rule, file=root, remedy=remedy)
    notes = [f"{_images(own)} in more than one split of the folder: {', '.join(own)}"] if own else []
    if drawn:
        few = ", ".join(drawn[:5]) + (", ..." if len(drawn) > 5 else "")
        notes.append(f"{_images(drawn)} in more than one of the drawn splits: {few}")
    return tuple(notes)


def _images(groups: Sequence[str]) -> str:
    return "1 image is" if len(groups) == 1 else f"{len(groups):,} images are"


def _groups(
    root: Path, listing: Listing, scans: Sequence[QuickScan], part: NDArray[np.int64]
) -> Iterator[tuple[int, ...]]:
    """Numbers of files with equal bytes in different splits."""
    candidates: dict[bytes, list[int]] = {}
    for number, scan in enumerate(scans):
        candidates.setdefault(scan.digest, []).append(number)
    for numbers in candidates.values():
        if len({int(part[n]) for n in numbers}) > 1:
            same: dict[bytes, list[int]] = {}
            for number in numbers:
                same.setdefault(_digest(root, bytes(listing.names[number])), []).append(number)
            yield from (tuple(found) for found in same.values() if len({int(part[n]) for n in found}) > 1)


def _digest(root: Path, name: bytes) -> bytes:
    """SHA-256 of a file; b"" for a small one, which the quick scan has hashed completely."""
    path = root / name.decode("utf-8", "surrogateescape")
    if path.stat().st_size <= 2 * ENDS:
        return b""
    found = hashlib.sha256()
    with open_regular(path, NO_LIMIT) as file:
        while some := file.read(_READ):
            found.update(some)
    return found.digest()
