"""Reading regular files of a bounded size, and refusing pipes, devices and folders that stand in their place.

A named pipe that has no writer blocks whoever opens it, and /dev/zero never ends. Both can stand under any name that a
user types, and in any directory that somebody else has made.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from io import BufferedReader
from pathlib import Path

NO_LIMIT = 1 << 63  # of what is mapped, or read a piece at a time
MAX_TEXT_BYTES = 1 << 28  # 256 MiB; the JSON and YAML files of a run have kilobytes

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


class NotReadableError(OSError):
    """A file that is not read: it is no regular file, or larger than allowed. `strerror` is the reason."""


def open_regular(path: Path | str | bytes, max_bytes: int | None = None) -> BufferedReader:
    """A regular file of at most `max_bytes`, opened for reading; never blocks.

    max_bytes  None for the memory of this machine, in bytes
    Raises OSError with the reason in `strerror`: the system's own, or that of NotReadableError.
    """
    check_regular(path, max_bytes)  # before it is opened: to open a device may already do something
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse(os.fstat(descriptor), path, max_bytes)  # the file may have been replaced since
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def open_stream(path: Path | str) -> BufferedReader:
    """A file or a named pipe that is read once, from its beginning; a pipe without a writer is empty.

    Raises OSError for what is neither, as `open_regular` does.
    """
    if not stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116 - `path` may be a text
        return open_regular(path, NO_LIMIT)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def check_regular(path: Path | str | bytes, max_bytes: int | None = None) -> None:
    """Raise OSError, as `open_regular` does, for a file that a library is to open by its name."""
    _refuse(os.stat(path), path, max_bytes)  # noqa: PTH116 - `path` may be a text


def read_bytes(path: Path | str, max_bytes: int | None = None) -> bytes:
    """The content of a regular file. Raises OSError as `open_regular` does."""
    with open_regular(path, max_bytes) as file:
        return file.read()


def read_text(path: Path | str, max_bytes: int = MAX_TEXT_BYTES, errors: str = "strict") -> str:
    """The content of a regular UTF-8 file, line breaks as \\n. Raises OSError as above, and UnicodeDecodeError."""
    return read_bytes(path, max_bytes).decode("utf-8", errors).replace("\r\n", "\n").replace("\r", "\n")


def is_there(path: Path) -> bool:
    """Whether something has this name, be it a file, a pipe, a link to nothing or what may not be looked at.

    Who reads it then gets the reason why it cannot be read; `Path.is_file` would call it missing.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def is_file(path: Path) -> bool:
    """Whether a regular file has this name; False where that cannot be seen, for which `Path.is_file` raises."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder has this name; False where that cannot be seen."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _refuse(found: os.stat_result, path: Path | str | bytes, max_bytes: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no file")
        raise NotReadableError(errno.EINVAL, f"it is {kind}, and only regular files are read", os.fsdecode(path))
    limit, of_machine = (_memory_bytes(), ", the memory of this machine") if max_bytes is None else (max_bytes, "")
    if found.st_size > limit:
        reason = f"it has {found.st_size:,} bytes, and at most {limit:,} are read{of_machine}"
        raise NotReadableError(errno.EFBIG, reason, os.fsdecode(path))


@cache
def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
