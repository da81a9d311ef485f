"""eval/looks.jsonl: every look at a split of a run, a line each, never rewritten."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from dlexp.artifacts.files.claims import make_folder
from dlexp.artifacts.files.reading import check_regular, is_there, read_bytes
from dlexp.artifacts.files.writing import read_json
from dlexp.errors import DlexpError
from dlexp.text.time_format import now_utc

_OLD = "looks.json"  # what versions before looks.jsonl rewrote as a whole


def note_look(folder: Path, split: str, checkpoint: str) -> int:
    """Add a look to `folder`/looks.jsonl; returns how many there have been at this split, this one included.

    Processes that evaluate one run at a time wait for each other, so that each look is counted once and has a number of
    its own. A line that a crash cut off is a look too: somebody was about to see the result. Raises DlexpError.
    """
    path, line = folder / "looks.jsonl", {"split": split, "checkpoint": checkpoint, "time": now_utc()}
    try:
        make_folder(folder)
        if is_there(path):
            check_regular(path)
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, by us or by the kernel
            file.seek(0)
            before = file.read()
            torn = b"" if before.endswith(b"\n") or not before else b"\n"
            file.write(torn + json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DlexpError(f"cannot write {path}: {error.strerror}", code="system-error") from error
    return 1 + _count(folder, before, split)


def looks_at(folder: Path, split: str) -> int:
    """How many looks there have been at a split, without adding one; 0 where there is no such folder."""
    path = folder / "looks.jsonl"
    try:
        lines = read_bytes(path) if is_there(path) else b""
    except OSError as error:
        raise DlexpError(f"{path} cannot be read: {error.strerror}", code="system-error") from error
    return _count(folder, lines, split)


def _count(folder: Path, lines: bytes, split: str) -> int:
    old = read_json(folder / _OLD) if is_there(folder / _OLD) else []
    names = [look.get("split") for look in old if isinstance(look, dict)] if isinstance(old, list) else []
    names += [_split_of(text) for text in lines.splitlines() if text.strip()]
    return sum(name in (split, None) for name in names)


def _split_of(text: bytes) -> str | None:
    """The split of a line; None for one that cannot be read, which may have been any."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found.get("split") if isinstance(found, dict) else None
