"""Atomic writes of files: a reader sees the old or the new content, also after a crash."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, count, islice
from pathlib import Path
from typing import IO, Any

from dlexp.artifacts.files.claims import check_claims, make_folder
from dlexp.artifacts.files.json_shapes import MAX_DEPTH, is_too_deep
from dlexp.artifacts.files.reading import MAX_TEXT_BYTES, read_bytes
from dlexp.errors import Code, DlexpError

_TEMP_PREFIX = ".tmp-"
_ROWS = 1024  # of a table at a time


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    """Replace `path` atomically, as `replacing` does."""
    with replacing(path, len(content), durable) as file:
        file.write(content)


@contextmanager
def replacing(path: Path, size: int, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces `path` atomically after the body; file and directory are flushed to disk.

    Args:
        path: The file to replace.
        size: Approximate size in bytes, to check the free disk space before anything is written.
        durable: False leaves flushing to the system: after a power failure the file may be the old one, or empty.

    Raises:
        DlexpError: With the file, the size and the reason of the system; the old file is unchanged.
    """
    temporary = path.with_name(f"{_TEMP_PREFIX}{os.getpid()}-{path.name}")
    try:
        make_folder(path.parent)
        refuse_without_space(path, size)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            flush_directory(path.parent)
    except BaseException as error:
        with suppress(OSError):  # the parent may not be a directory
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            check_claims(path)  # a deleted directory is the better explanation
            raise DlexpError(f"cannot write {path} ({size} bytes): {error.strerror}", code="system-error") from error
        raise


def refuse_without_space(path: Path, needed: int) -> None:
    """Raise DlexpError if the disk of `path` has less than `needed` bytes of free space."""
    folder = next(folder for folder in path.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(folder).free
    if free < needed:
        message = f"cannot write {path}: it requires {needed} bytes, but only {free} are free on that disk"
        raise DlexpError(message, code="system-error")


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Replace a UTF-8 text file atomically."""
    write_bytes(path, text.encode(), durable)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Replace a JSON file atomically; NaN and infinities, which JSON does not have, become null."""
    write_text(path, json.dumps(finite_or_none(value), indent=2) + "\n", durable)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Replace a CSV file atomically; floats keep every digit, None is an empty cell.

    The rows are written as they come, so a table of any length takes little memory.
    """
    blocks = _csv_blocks(chain([header], rows))
    first = next(blocks)
    with replacing(path, len(first)) as file:
        file.write(first)
        for block in blocks:
            file.write(block)


def _csv_blocks(rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """The lines of some rows at a time."""
    left = iter(rows)
    while block := list(islice(left, _ROWS)):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(block)
        yield text.getvalue().encode()


def csv_line(cells: Sequence[Any]) -> str:
    """One line of a CSV file, with its line break."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(["" if cell is None else cell for cell in cells])
    return text.getvalue()


def append_text(path: Path, text: str, *, create: bool = True) -> None:
    """Append to a UTF-8 text file. Raises DlexpError with the file, the size and the reason of the system.

    create  False for a file that exists, so that a deleted file is not created again without its beginning
    """
    check_claims(path)
    content = text.encode()
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    try:
        descriptor = os.open(path, flags, 0o666)
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)
    except OSError as error:
        check_claims(path)
        message = f"cannot write {path} ({len(content)} more bytes): {error.strerror}"
        raise DlexpError(message, code="system-error") from error


def read_json(path: Path) -> Any:
    """The value in a JSON file, at most MAX_DEPTH levels deep. Raises DlexpError that names the file."""
    try:
        found = json.loads(read_bytes(path, MAX_TEXT_BYTES))
        if not is_too_deep(found):
            return found
        reason = f"it is nested more than {MAX_DEPTH} levels deep"
    except RecursionError:
        reason = f"it is nested more than {MAX_DEPTH} levels deep"
    except OSError as error:
        raise DlexpError(f"{path} cannot be read: {error.strerror}", code="system-error") from error
    except ValueError as error:
        raise DlexpError(f"{path} cannot be read: {error}", code="corrupted") from error
    raise DlexpError(f"{path} cannot be read: {reason}", code="corrupted")


def read_object(path: Path) -> dict[str, Any]:
    """The keys and values in a JSON file. Raises DlexpError that names the file."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise DlexpError(f"{path} cannot be read: it must be an object with keys and values", code="corrupted")
    return found


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file. Raises DlexpError that names the file."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        code: Code = "system-error" if isinstance(error, OSError) else "corrupted"
        raise DlexpError(f"{path} cannot be read: {error}", code=code) from error


def is_temporary(path: Path) -> bool:
    """Return whether a file is being written, or was left behind by a killed writer."""
    return path.name.startswith(_TEMP_PREFIX)


def remove_temporaries(folder: Path) -> None:
    """Delete the temporary files of killed writers; only for the owner of `folder`."""
    for path in list(folder.rglob(f"{_TEMP_PREFIX}*")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def place_folder(folder: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Create a directory `name` in `folder`, or `name`-2, `name`-3, ..., with all its files or not at all.

    Raises DlexpError as `write_bytes` does; nothing remains then.
    """
    check_claims(folder)
    temporary = folder / f"{_TEMP_PREFIX}{os.getpid()}-{name}"
    try:
        for file, content in files.items():
            write_bytes(temporary / file, content)
        for number in count(1):
            path = folder / (name if number == 1 else f"{name}-{number}")
            if not path.exists():
                temporary.rename(path)
                flush_directory(folder)
                return path
    except OSError as error:
        raise DlexpError(f"cannot write {folder / name}: {error.strerror}", code="system-error") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    raise AssertionError("an endless count ended")


def remove_folder(folder: Path) -> None:
    """Delete a folder that this process created, with its content. Raises DlexpError."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise DlexpError(f"cannot delete {folder}: {error.strerror}", code="system-error") from error


def flush_directory(folder: Path) -> None:
    """Flush a directory, so that a rename in it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def finite_or_none(value: Any) -> Any:
    """`value` with None for NaN and infinities, which JSON does not have; tuples become lists."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(key): finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return value
