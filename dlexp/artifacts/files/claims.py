"""Directories that this process writes in, known by what they are and not by their name alone.

A run that trains for hours writes a file now and then. When its directory is deleted, renamed or replaced in the
meantime, a file of that name would be made anew in a directory without a configuration. Every writer asks here first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlexp.errors import DlexpError

_claimed: list[tuple[Path, int]] = []  # absolute path, and a descriptor that keeps its number from being used again


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Write in `folder` while the body runs, and only as long as it is the same one. Raises DlexpError."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DlexpError(f"cannot write in {folder}: {error.strerror}", code="system-error") from error
    entry = (folder.absolute(), descriptor)
    _claimed.append(entry)
    try:
        yield
    finally:
        _claimed.remove(entry)
        os.close(descriptor)


def check_claims(path: Path) -> None:
    """Raise DlexpError where `path` lies in a claimed directory that is no longer the one that was claimed."""
    place = path.absolute()
    for folder, descriptor in tuple(_claimed):
        if place.is_relative_to(folder) and not _is_same(folder, descriptor):
            what = "was deleted, moved or replaced while this process wrote in it"
            raise DlexpError(f"{_near(folder)} {what}; nothing was written there anew", code="not-found")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, but none that is claimed. Raises DlexpError for that, and OSError."""
    check_claims(folder)
    place = folder.absolute()
    holders = [claim for claim, _ in tuple(_claimed) if place.is_relative_to(claim)]
    if not holders:
        folder.mkdir(parents=True, exist_ok=True)
        return
    nearest = max(holders, key=lambda claim: len(claim.parts))
    for depth in range(len(nearest.parts) + 1, len(place.parts) + 1):
        Path(*place.parts[:depth]).mkdir(exist_ok=True)


def _is_same(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _near(folder: Path) -> str:
    """The folder as seen from here where that is shorter."""
    try:
        return min(os.path.relpath(folder), str(folder), key=len)
    except OSError:  # the current folder is gone too
        return str(folder)
