"""Writing files so that a reader, or a crash, never meets half of one."""

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
    """Replace `path` in one step, as `replacing` does."""
    with replacing(path, len(content), durable) as file:
        file.write(content)


@contextmanager
def replacing(path: Path, size: int, durable: bool = True) -> Iterator[IO[bytes]]:
    """A temporary file beside `path`: flushed to disk, put in its place when the body is over, the directory flushed.

    size     about how many bytes it takes, so that a disk without room for them is refused before anything is touched
    durable  False leaves the flushing to the system: after a power cut the file may be the old one, or empty
    Raises DlexpError that names the file, the size and the system's reason; the old file is then untouched.
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
        with suppress(OSError):  # where the folder itself is no folder there is nothing to remove
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            check_claims(path)  # a directory that went away meanwhile is what is wrong
            raise DlexpError(f"cannot write {path} ({size} bytes): {error.strerror}", code="system-error") from error
        raise


def refuse_without_space(path: Path, needed: int) -> None:
    """Raise DlexpError where the disk has no room for `needed` bytes beside `path`, before anything is touched."""
    folder = next(folder for folder in path.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(folder).free
    if free < needed:
        message = f"cannot write {path}: {needed} bytes are needed, and {free} are free on that disk"
        raise DlexpError(message, code="system-error")


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Replace a UTF-8 text file in one step."""
    write_bytes(path, text.encode(), durable)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Replace a JSON file in one step; NaN and the infinities, which JSON does not have, become null."""
    write_text(path, json.dumps(finite_or_none(value), indent=2) + "\n", durable)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Replace a CSV file in one step; floats keep every digit, None is an empty cell.

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
    """Add to the end of a UTF-8 text file. Raises DlexpError that names the file, the size and the system's reason.

    create  False for a file that is known to be there, so that one that was deleted is not begun again in its middle
    """
    check_claims(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    try:
        with open(os.open(path, flags, 0o666), "a", encoding="utf-8", newline="") as file:  # noqa: PTH123 - its flags
            file.write(text)
    except OSError as error:
        check_claims(path)
        message = f"cannot write {path} ({len(text.encode())} bytes more): {error.strerror}"
        raise DlexpError(message, code="system-error") from error


def read_json(path: Path) -> Any:
    """The value in a JSON file, at most MAX_DEPTH levels deep. Raises DlexpError that names the file."""
    try:
        found = json.loads(read_bytes(path, MAX_TEXT_BYTES))
        if not is_too_deep(found):
            return found
        reason = f"it nests deeper than {MAX_DEPTH} levels"
    except RecursionError:
        reason = f"it nests deeper than {MAX_DEPTH} levels"
    except OSError as error:
        raise DlexpError(f"{path} cannot be read: {error.strerror}", code="system-error") from error
    except ValueError as error:
        raise DlexpError(f"{path} cannot be read: {error}", code="corrupted") from error
    raise DlexpError(f"{path} cannot be read: {reason}", code="corrupted")


def read_object(path: Path) -> dict[str, Any]:
    """The keys and values in a JSON file. Raises DlexpError that names the file."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise DlexpError(f"{path} cannot be read: it holds no keys and values", code="corrupted")
    return found


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file. Raises DlexpError that names the file."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        code: Code = "system-error" if isinstance(error, OSError) else "corrupted"
        raise DlexpError(f"{path} cannot be read: {error}", code=code) from error


def is_temporary(path: Path) -> bool:
    """Whether a file is one that is being written, or that a killed writer left behind."""
    return path.name.startswith(_TEMP_PREFIX)


def remove_temporaries(folder: Path) -> None:
    """Delete what a killed writer left behind; call only as the owner of `folder`."""
    for path in list(folder.rglob(f"{_TEMP_PREFIX}*")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def place_folder(folder: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """A new directory `name` in `folder`, or `name`-2, `name`-3, ..., that appears with all its files or not at all.

    Raises DlexpError as `write_bytes` does; nothing is left then.
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
    """Delete a folder and what is in it; call only for one that this process made. Raises DlexpError."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise DlexpError(f"cannot delete {folder}: {error.strerror}", code="system-error") from error


def flush_directory(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def finite_or_none(value: Any) -> Any:
    """`value` with None for NaN and the infinities, which JSON does not have; tuples become lists."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(key): finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return value
