"""The study's journal: Optuna's records, a JSON line each, behind a lock that ends with the process that holds it.

Optuna's own lock is a symbolic link. `kill -9` leaves it lying, and when the path is relative the next process waits
for it for ever, busily: the link is resolved against its own directory, so its age cannot be read.

Each record ends with a checksum over the line before it and itself: a changed bit, a line that is missing and lines in
another order are noticed before anything is read from them. Records of other programs (Optuna's own journal, its
dashboard) have none, and are covered by the next one that has.
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
_REMEDY = "Restore the file from a copy, or start another study with --name."


class Journal(JournalFileBackend):
    """Records in a file that several processes of one machine, or of a shared file system with `flock`, may append to.

    An unfinished last line, the record of a process that was killed while it wrote, never took effect and is cut off.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises ConfigError that names the line when a record is damaged or missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path.absolute()
        if path.is_file():
            refuse_damage(path)
        super().__init__(str(self._path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add records; they survive the end of this process, and the machine's after `sync`."""
        with self._path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, by us or by the kernel
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
        """Write what was added to the disk itself."""
        with self._path.open("rb") as file:
            os.fsync(file.fileno())


def refuse_damage(path: Path) -> None:
    """Raise ConfigError that names the first line of a journal that is no record, or whose checksum does not hold."""
    previous = b""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # never took effect
            wrong = _wrong_with(line, previous)
            if wrong:
                raise ConfigError.one(f"{path}, line {number}", "", wrong, _REMEDY, code="corrupted")
            previous = line


def _wrong_with(line: bytes, previous: bytes) -> str:
    """What is wrong with a whole line of a journal; "" for nothing."""
    try:
        record = json.loads(line)
    except ValueError:
        return "is corrupted: it is no JSON"
    if not isinstance(record, dict) or not isinstance(record.get("op_code"), int) or "worker_id" not in record:
        return "is corrupted: it is no record of a study"
    if _CHECK in record:
        del record[_CHECK]
        if _with_check(record, previous) != line:
            return "is corrupted, or lines in front of it are missing: its checksum does not hold"
    elif any(len(key) == len(_CHECK) for key in record):  # Optuna's keys are longer
        return "is corrupted: it has an unknown key"
    return ""


def _with_check(record: dict[str, Any], previous: bytes) -> bytes:
    """The line of a record that follows the line `previous`."""
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
