"""The journal of a study: Optuna's records as JSON lines, protected by a lock that is released when its process ends.

Optuna's own lock is a symbolic link, which remains after `kill -9`; with a relative path, the next process waits
forever, since the link is resolved against its own directory and its age cannot be read.

Each record ends with a checksum of the previous line and itself, so that changed, missing and reordered lines are
detected. Records of other programs (Optuna's own journal, its dashboard) have no checksum, and are covered by the next
one that has.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

from dlexp.errors import ConfigError

_CHECK = "crc"
_REMEDY = "Restore the file from a backup, or start another study with --name NAME"


class Journal(JournalFileBackend):
    """Records in a file that several processes on a file system with `flock` can append to.

    An incomplete last line, from a process that was killed while writing, is removed.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises ConfigError with the line number if a record is corrupted or missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path.absolute()
        if path.is_file():
            refuse_damage(path)
        super().__init__(str(self._path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records; they survive a crash of the process, and after `sync` of the machine."""
        with self._path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
            end = file.seek(0, os.SEEK_END)
            whole = _end_of_last_line(file, end)
            if whole != end:
                file.truncate(whole)
            begin = _end_of_last_line(file, whole - 1)
            file.seek(begin)
            previous, lines = file.read(whole - begin), []
            for log in logs:
                previous = _with_check(log, previous)
                lines.append(previous)
            file.seek(whole)
            file.write(b"".join(lines))

    def sync(self) -> None:
        """Flush the records to disk."""
        with self._path.open("rb") as file:
            os.fsync(file.fileno())


def refuse_damage(path: Path) -> None:
    """Raise ConfigError for the first line that is not a record or has a wrong checksum."""
    previous = b""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # incomplete
            wrong = _wrong_with(line, previous)
            if wrong:
                raise ConfigError.one(f"{path}, line {number}", "", wrong, _REMEDY, code="corrupted")
            previous = line


def _wrong_with(line: bytes, previous: bytes) -> str:
    """The error in a complete line of a journal; "" for a valid one."""
    try:
        record = json.loads(line)
    except ValueError:
        return "is corrupted: not JSON"
    if not isinstance(record, dict) or not isinstance(record.get("op_code"), int) or "worker_id" not in record:
        return "is corrupted: not a record of a study"
    if _CHECK in record:
        del record[_CHECK]
        if _with_check(record, previous) != line:
            return "is corrupted, or previous lines are missing: wrong checksum"
    elif any(len(key) == len(_CHECK) for key in record):  # Optuna's keys are longer
        return "is corrupted: unknown key"
    return ""


def _with_check(record: dict[str, Any], previous: bytes) -> bytes:
    """The line of a record after the line `previous`."""
    text = json.dumps(record, separators=(",", ":"))
    check = zlib.crc32(text.encode(), zlib.crc32(previous))
    return f'{text[:-1]},"{_CHECK}":"{check:08x}"}}\n'.encode()


def _end_of_last_line(file: Any, end: int) -> int:
    """Offset after the last newline before `end`."""
    block = 4096
    while end > 0:
        begin = max(0, end - block)
        file.seek(begin)
        found: int = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0
