"""Directories that this process writes to, identified by inode and not only by name.

If the directory of a run is deleted, renamed or replaced during training, writing by name would create a new directory
without a configuration. Every writer checks the claims first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlexp.artifacts.files.reading import is_file
from dlexp.errors import DlexpError
from dlexp.text.quoting import shell_word

_claimed: list[tuple[Path, int]] = []  # absolute path, and a descriptor that keeps the inode from being reused


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Claim `folder` for the body, whose writes fail once it is another directory. Raises DlexpError."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DlexpError(f"cannot write to {folder}: {error.strerror}", code="system-error") from error
    entry = (folder.absolute(), descriptor)
    _claimed.append(entry)
    try:
        yield
    finally:
        _claimed.remove(entry)
        os.close(descriptor)


def check_claims(path: Path) -> None:
    """Raise DlexpError if `path` is in a claimed directory that was deleted, moved or replaced."""
    if not _claimed:
        return
    place = str(path)  # texts take a tenth of pathlib's time, and every line of a log is checked
    if not place.startswith(os.sep):
        place = str(path.absolute())
    for folder, descriptor in tuple(_claimed):
        if _is_within(place, str(folder)) and not _is_same(folder, descriptor):
            what = "was deleted, moved or replaced while this process was writing to it"
            raise DlexpError(f"{_shortest(folder)} {what}. Nothing was written there.", code="not-found")


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, but no claimed one. Raises DlexpError if a claim is broken, and OSError."""
    check_claims(folder)
    try:
        _make(folder)
    except (FileExistsError, NotADirectoryError):
        refuse_files(folder, *folder.parents)
        raise


def _make(folder: Path) -> None:
    place = folder.absolute()
    holders = [claim for claim, _ in tuple(_claimed) if place.is_relative_to(claim)]
    if not holders:
        folder.mkdir(parents=True, exist_ok=True)
        return
    nearest = max(holders, key=lambda claim: len(claim.parts))
    for depth in range(len(nearest.parts) + 1, len(place.parts) + 1):
        Path(*place.parts[:depth]).mkdir(exist_ok=True)


def refuse_files(*places: Path) -> None:
    """Raise DlexpError for a file in the place of a directory."""
    for place in filter(is_file, places):
        move = f"mv {shell_word(str(place))} {shell_word(f'{place}.old')}"
        rule = f"{place} is a file, and a directory of this name is needed. Move it: {move}"
        raise DlexpError(rule, code="invalid-type")


def _is_within(place: str, folder: str) -> bool:
    """Return whether an absolute path is that of a folder or of something in it."""
    return place == folder or place.startswith(folder if folder.endswith(os.sep) else folder + os.sep)


def _is_same(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(folder), os.fstat(descriptor))  # noqa: PTH116 - see check_claims
    except OSError:
        return False


def _shortest(folder: Path) -> str:
    """The relative or the absolute path, whichever is shorter."""
    try:
        return min(os.path.relpath(folder), str(folder), key=len)
    except OSError:  # the current folder is gone too
        return str(folder)
