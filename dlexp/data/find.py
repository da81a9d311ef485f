"""Files that a configuration names: there, or refused with the nearest name beside them."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from dlexp.errors import DataError


def check_file(file: Path) -> None:
    """Raise DataError where there is no such file."""
    if not file.is_file():
        what = "is a folder, not a file" if file.is_dir() else "there is no such file"
        raise DataError(what, file=file, remedy=near(file))


def near(path: Path) -> str:
    """The advice to take what has nearly the same name, "" where nothing has."""
    try:
        there = [entry.name for entry in path.parent.iterdir() if entry.name != path.name]
    except OSError:
        return ""
    found = get_close_matches(path.name, there, n=1)
    return f"did you mean {found[0]}?" if found else ""
