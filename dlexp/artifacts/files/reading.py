"""Readers of regular files of bounded size, which reject pipes, devices and folders.

Opening a named pipe without a writer blocks, and /dev/zero never ends. Both can have any name that a user types, and
be in any directory that comes from elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from io import BufferedReader
from pathlib import Path

NO_LIMIT = 1 << 63  # for files that are mapped, or read in pieces
MAX_TEXT_BYTES = 1 << 28  # 256 MiB; the JSON and YAML files of a run have kilobytes

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


class NotReadableError(OSError):
    """A file that is not regular or is too large; `strerror` is the reason."""


def open_regular(path: Path | str | bytes, max_bytes: int | None = None) -> BufferedReader:
    """Open a regular file of at most `max_bytes` for reading, without blocking.

    max_bytes  None for the size of the memory of this machine
    Raises OSError with the reason in `strerror`, of the system or of NotReadableError.
    """
    check_regular(path, max_bytes)  # before opening, which may have an effect on a device
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse(os.fstat(descriptor), path, max_bytes)  # the file may have been replaced since
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def open_stream(path: Path | str) -> BufferedReader:
    """Open a regular file or a named pipe for one sequential read; a pipe without a writer is empty.

    Raises OSError for other types, as `open_regular` does.
    """
    if not stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116 - `path` may be a text
        return open_regular(path, NO_LIMIT)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def check_regular(path: Path | str | bytes, max_bytes: int | None = None) -> None:
    """Raise OSError as `open_regular` does, before a library opens the file by name."""
    _refuse(os.stat(path), path, max_bytes)  # noqa: PTH116 - `path` may be a text


def read_bytes(path: Path | str, max_bytes: int | None = None) -> bytes:
    """The content of a regular file. Raises OSError as `open_regular` does."""
    with open_regular(path, max_bytes) as file:
        return file.read()


def read_text(path: Path | str, max_bytes: int = MAX_TEXT_BYTES, errors: str = "strict") -> str:
    """The content of a regular UTF-8 file, line breaks as \\n. Raises OSError as above, and UnicodeDecodeError."""
    return read_bytes(path, max_bytes).decode("utf-8", errors).replace("\r\n", "\n").replace("\r", "\n")


def is_there(path: Path) -> bool:
    """Return whether anything has this name, including pipes, broken links and unreadable files.

    A reader then reports why it cannot be read; `Path.is_file` would report it as missing.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def is_file(path: Path) -> bool:
    """Return whether a regular file has this name; False without permission, where `Path.is_file` raises."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Return whether a folder has this name; False without permission."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _refuse(found: os.stat_result, path: Path | str | bytes, max_bytes: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "another type of file")
        raise NotReadableError(errno.EINVAL, f"it is {kind}, not a regular file", os.fsdecode(path))
    limit, of_machine = (_memory_bytes(), " (the memory of this machine)") if max_bytes is None else (max_bytes, "")
    if found.st_size > limit:
        reason = f"it has {found.st_size:,} bytes, more than the limit of {limit:,}{of_machine}"
        raise NotReadableError(errno.EFBIG, reason, os.fsdecode(path))


@cache
def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
