"""The lock of a directory: a file that the owner holds locked, and that the system unlocks when the owner dies."""

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
    """The lock file, made where there is none. Raises DlexpError where it cannot be written or is no file."""
    try:
        if is_there(path):
            check_regular(path)
        return path.open("a+")
    except OSError as error:
        raise DlexpError(f"cannot write in {path.parent}: {error.strerror}", code="system-error") from error


def lock(descriptor: int) -> None:
    """Take the lock, or raise OSError; who only looks holds it for an instant, so one refusal is not believed."""
    for _ in range(_TRIES - 1):
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_PAUSE_SECONDS)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(path: Path) -> bool:
    """Whether a live process holds the lock; False where there is no lock file or it cannot be read."""
    try:
        with open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look are not two who write
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
