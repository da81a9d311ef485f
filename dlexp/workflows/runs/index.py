"""The index of `dlexp runs`: what was read of each run, kept in outputs/.runs.json while its directory is the same.

The index only saves reading. What is kept of a run is used only if each of its directories, each file that it was read
from and each large file has the time of change, size and inode that it had then: a file that is added,
deleted, renamed or replaced changes its directory. A run that may be changing is not kept: one whose state is not
final, and one with anything younger than two seconds, since two changes within one tick of the clock of a file system
look like one. Only a small file that another program changes in place, such as a log, counts with its old size. The
index can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import dlexp
from dlexp.artifacts.files.reading import MAX_TEXT_BYTES, read_bytes
from dlexp.artifacts.files.writing import write_bytes
from dlexp.errors import DlexpError

FILE = ".runs.json"  # under outputs/
_FORMAT = 1
# Files that a listing reads.
_WATCHED = frozenset(("config.yaml", "meta.json", "status.json", "summary.json", "metrics.csv", "report.json"))
_LARGE = 1 << 16  # bytes; such a file is watched too, since its size shows
_SETTLED_NS = 2_000_000_000


class Scan(NamedTuple):
    """A look at every file of a run.

    Attributes:
        size: Size on disk in bytes; links are not followed.
        watched: Directories and files, relative to the run, "" for itself; None where they do not tell of a change.
        stamp: Hash of their times of change, sizes and inodes.
        youngest: The latest of those times, in ns.
    """

    size: int
    watched: list[str] | None
    stamp: int
    youngest: int


def scan(folder: Path) -> Scan:
    """Look at a directory; files deleted meanwhile are not counted."""
    root = str(folder)
    total, is_whole = 0, True
    watched, waiting = list[str](), [root]
    while waiting:
        place = waiting.pop()
        watched.append(place[len(root) :])
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    size = entry.stat(follow_symlinks=False).st_size
                    total += size
                    if entry.name in _WATCHED or size >= _LARGE:
                        watched.append(entry.path[len(root) :])
                    if entry.is_symlink():  # behind a link anything may change
                        is_whole = False
        except OSError:
            is_whole = False
    numbers = _numbers_of(root, watched) if is_whole else None
    if numbers is None:
        return Scan(total, None, 0, 0)
    return Scan(total, watched, hash(tuple(numbers)), max(numbers[::3]))


class RunIndex:
    """What is kept of the runs below a folder outputs/.

    root  that folder
    """

    def __init__(self, root: Path) -> None:
        self._root, self._prefix = root, f"{root}{os.sep}"
        self._entries, self._shared = _content_of(root / FILE)
        self._numbers: dict[str, int] = {}  # text of a shared value -> its place in the list
        self._mappings: dict[tuple[int, int], dict[str, Any]] = {}
        self._seen: dict[str, Any] = {}
        self._has_new = False

    def get(self, folder: Path) -> tuple[int, list[dict[str, Any]]] | None:
        """(size in bytes, the mappings that `put` was given) for a run that is still the same, else None."""
        key = self._key(folder)
        entry = self._entries.get(key)
        if entry is None:
            return None
        watched, stamp, size, *parts = entry
        numbers = _numbers_of(str(folder), self._shared[watched])
        if numbers is None or hash(tuple(numbers)) != stamp:
            return None
        self._seen[key] = entry
        return size, [self._unpacked(*part) for part in parts]

    def put(
        self, folder: Path, scanned: Scan, own: Sequence[Mapping[str, Any]], alike: Sequence[Mapping[str, Any]]
    ) -> None:
        """Keep mappings of plain values that were read from a run after it was scanned, if it is not being changed.

        alike  those that many runs have in common
        """
        is_settled = scanned.youngest < time.time_ns() - _SETTLED_NS
        if scanned.watched is None or not is_settled or "/status.json" not in scanned.watched:
            return  # without a status, the state depends on a lock
        parts = [[self._number(list(part)), list(part.values())] for part in own]
        parts += [[self._number(list(part)), self._number(list(part.values()))] for part in alike]
        entry = [self._number(scanned.watched), scanned.stamp, scanned.size, *parts]
        self._seen[self._key(folder)] = entry
        self._has_new = True

    def write(self) -> None:
        """Write what this listing has used and found; a folder that cannot be written keeps its old index, or none."""
        if not self._has_new:
            return
        content = {"format": _FORMAT, "version": dlexp.__version__, "shared": self._shared, "runs": self._seen}
        text = json.dumps(content, separators=(",", ":")).encode()
        with suppress(DlexpError):
            write_bytes(self._root / FILE, _digest(text) + b"\n" + text, durable=False)

    def _number(self, value: list[Any]) -> int:
        """The place of a value in the list of those that are kept once."""
        if not self._numbers:
            self._numbers = {json.dumps(known): number for number, known in enumerate(self._shared)}
        number = self._numbers.setdefault(json.dumps(value), len(self._shared))
        if number == len(self._shared):
            self._shared.append(value)
        return number

    def _unpacked(self, keys: int, values: list[Any] | int) -> dict[str, Any]:
        if not isinstance(values, int):
            return dict(zip(self._shared[keys], values, strict=True))
        if (keys, values) not in self._mappings:
            self._mappings[keys, values] = dict(zip(self._shared[keys], self._shared[values], strict=True))
        return self._mappings[keys, values]

    def _key(self, folder: Path) -> str:
        return str(folder).removeprefix(self._prefix)


def _numbers_of(root: str, watched: Sequence[str]) -> list[int] | None:
    """Of each name its time of change in ns, which nobody can set, its size and its inode; None if anything is gone."""
    numbers: list[int] = []
    try:
        for name in watched:
            found = os.lstat(root + name)
            numbers += (found.st_ctime_ns, found.st_size, found.st_ino)
    except OSError:
        return None
    return numbers


def _content_of(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """(runs, shared values) of an index; none if there is no whole index of this version."""
    try:
        digest, _, text = read_bytes(path, MAX_TEXT_BYTES).partition(b"\n")
        content = json.loads(text) if digest == _digest(text) else {}
    except (OSError, ValueError, RecursionError):
        return {}, []
    if (content.get("format"), content.get("version")) != (_FORMAT, dlexp.__version__):
        return {}, []
    return content["runs"], content["shared"]


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
