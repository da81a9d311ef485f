"""The study's journal: Optuna's records, a JSON line each, behind a lock that ends with the process that holds it.

Optuna's own lock is a symbolic link. `kill -9` leaves it lying, and when the path is relative the next process waits
for it for ever, busily: the link is resolved against its own directory, so its age cannot be read.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend


class Journal(JournalFileBackend):
    """Records in a file that several processes of one machine, or of a shared file system with `flock`, may append to.

    An unfinished last line, the record of a process that was killed while it wrote, never took effect and is cut off.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path.absolute()
        super().__init__(str(self._path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add records; they survive the end of this process, and the machine's after `sync`."""
        content = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, by us or by the kernel
            end = file.seek(0, os.SEEK_END)
            whole = _end_of_last_line(file, end)
            if whole != end:
                file.truncate(whole)
                file.seek(whole)
            file.write(content)

    def sync(self) -> None:
        """Write what was added to the disk itself."""
        with self._path.open("rb") as file:
            os.fsync(file.fileno())


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
