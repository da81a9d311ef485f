"""The log of split accesses, eval/split_accesses.jsonl: one line for each evaluation of a split, append-only."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from dlexp.artifacts.files.claims import make_folder
from dlexp.artifacts.files.reading import check_regular, is_there, read_bytes
from dlexp.errors import DlexpError
from dlexp.text.time_format import now_utc


def log_split_access(folder: Path, split: str, checkpoint: str) -> int:
    """Log an access to a split in `folder`/split_accesses.jsonl; returns the number of accesses to it so far.

    Processes that evaluate one run wait for each other, so that each access is counted once and has its own number. A
    line truncated by a crash counts: its result may have been seen. Raises DlexpError.
    """
    path, line = folder / "split_accesses.jsonl", {"split": split, "checkpoint": checkpoint, "time": now_utc()}
    try:
        make_folder(folder)
        if is_there(path):
            check_regular(path)
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
            file.seek(0)
            before = file.read()
            separator = b"" if before.endswith(b"\n") or not before else b"\n"
            file.write(separator + json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DlexpError(f"cannot write {path}: {error.strerror}", code="system-error") from error
    return 1 + _count(before, split)


def count_split_accesses(folder: Path, split: str) -> int:
    """The number of logged accesses to a split; 0 if there is no such folder."""
    path = folder / "split_accesses.jsonl"
    try:
        lines = read_bytes(path) if is_there(path) else b""
    except OSError as error:
        raise DlexpError(f"{path} cannot be read: {error.strerror}", code="system-error") from error
    return _count(lines, split)


def _count(lines: bytes, split: str) -> int:
    names = [_split_of(text) for text in lines.splitlines() if text.strip()]
    return sum(name in (split, None) for name in names)


def _split_of(text: bytes) -> str | None:
    """The split of a line; None for an unreadable line, which counts for every split."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found.get("split") if isinstance(found, dict) else None
