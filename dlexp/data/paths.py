"""Checks that files of a configuration exist, with the most similar name if not."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from dlexp.artifacts.files.reading import NO_LIMIT, check_regular, is_folder
from dlexp.errors import DataError


def check_file(file: Path) -> None:
    """Raise DataError for a missing file, and for a pipe or device, which may block or never end."""
    try:
        check_regular(file, NO_LIMIT)
    except FileNotFoundError:
        raise DataError("file not found", file=file, remedy=did_you_mean(file), code="not-found") from None
    except OSError as error:
        if is_folder(file):
            raise DataError(
                "is a folder, not a file", file=file, remedy=did_you_mean(file), code="invalid-type"
            ) from error
        raise DataError(f"cannot be read: {error.strerror}", file=file, code="system-error") from error


def did_you_mean(path: Path) -> str:
    """`Did you mean NAME?` with the most similar name in the folder of `path`, "" if there is none."""
    try:
        there = [entry.name for entry in path.parent.iterdir() if entry.name != path.name]
    except OSError:
        return ""
    found = get_close_matches(path.name, there, n=1)
    return f"Did you mean {found[0]}?" if found else ""
