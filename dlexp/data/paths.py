"""Files that a configuration names: there, or refused with the nearest name beside them."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from dlexp.artifacts.files.reading import NO_LIMIT, check_regular, is_folder
from dlexp.errors import DataError


def check_file(file: Path) -> None:
    """Raise DataError where there is no such file, and for a pipe or a device, which may block or never end."""
    try:
        check_regular(file, NO_LIMIT)
    except FileNotFoundError:
        raise DataError("there is no such file", file=file, remedy=near(file), code="not-found") from None
    except OSError as error:
        if is_folder(file):
            raise DataError("is a folder, not a file", file=file, remedy=near(file), code="invalid-type") from error
        raise DataError(f"cannot be read: {error.strerror}", file=file, code="system-error") from error


def near(path: Path) -> str:
    """The advice to take what has nearly the same name, "" where nothing has."""
    try:
        there = [entry.name for entry in path.parent.iterdir() if entry.name != path.name]
    except OSError:
        return ""
    found = get_close_matches(path.name, there, n=1)
    return f"did you mean {found[0]}?" if found else ""
