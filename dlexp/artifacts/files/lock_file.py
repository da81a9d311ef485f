"""Lock files of directories; the system releases a lock when its process ends."""

from __future__ import annotations

import fcntl
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from dlexp.artifacts.files.reading import check_regular, is_there, open_regular
from dlexp.errors import DlexpError

_TRIES, _PAUSE_SECONDS = 5, 0.02


def open_lock(path: Path) -> IO[str]:
    """Open the lock file, creating it if needed. Raises DlexpError if it cannot be written or is not a regular file."""
    try:
        if is_there(path):
            check_regular(path)
        return path.open("a+")
    except OSError as error:
        raise DlexpError(f"cannot write to {path.parent}: {error.strerror}", code="system-error") from error


def lock(descriptor: int) -> None:
    """Take the lock, or raise OSError. `is_locked` of another process holds it for a moment, hence several tries."""
    for _ in range(_TRIES - 1):
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_PAUSE_SECONDS)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(path: Path) -> bool:
    """Return whether a running process holds the lock; False if there is no readable lock file."""
    try:
        with open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two readers do not block each other
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
