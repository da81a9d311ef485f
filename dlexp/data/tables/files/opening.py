"""Opening of table files of any kind: decompressed, with their format as the first bytes show it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dlexp.artifacts.files.reading import NO_LIMIT, NotReadableError, open_regular
from dlexp.data.paths import did_you_mean
from dlexp.errors import ConfigError, DataError

STDIN = "-"
HEAD_BYTES = 1 << 18  # from which the form of a text is detected

# Entries of .xlsx, .xlsb and .ods, which are ZIP archives.
_WORKBOOKS = (b"[Content_Types].xml", b"xl/workbook.", b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet")
_MAGIC = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "feather"),
    (b"FEA1", "feather"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "excel"),
)
_COMPRESSIONS = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
)


@dataclass(frozen=True)
class OpenFile:
    """A file that was opened.

    format       text, parquet, feather or excel
    compression  as in `TableForm`
    head         the first bytes, decompressed
    stream       all bytes, decompressed
    """

    format: str
    compression: str
    head: bytes
    stream: IO[bytes]


@contextmanager
def opened(path: str) -> Iterator[OpenFile]:
    """Open a file, or standard input for `-`. Raises DataError for one that cannot be read, also in the body.

    Raises ConfigError if a package is missing.
    """
    try:
        with _raw(path) as raw:
            head, stream = _peeked(raw)
            compression, open_it = _compression(path, head)
            if not open_it:
                yield OpenFile(_format(head), "", head, stream)
                return
            with open_it(stream) as inner:
                head, stream = _peeked(inner)
                yield OpenFile(_format(head), compression, head, stream)
    except FileNotFoundError:
        raise DataError("file not found", file=path, remedy=did_you_mean(Path(path)), code="not-found") from None
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, zipfile.BadZipFile) as error:
        rule = f"the compressed file is corrupted: {error}"
        raise DataError(rule, file=path, remedy="Copy or download it again.") from error
    except IsADirectoryError:
        raise DataError("is a folder, not a file", file=path, code="invalid-type") from None
    except NotReadableError as error:  # a pipe cannot be read twice, but the header is
        rule, remedy = f"cannot be read: {error.strerror}", "Use INPUT - and standard input."
        raise DataError(rule, file=path, remedy=remedy, code="system-error") from error
    except OSError as error:
        rule = f"cannot be read: {error.strerror or error}"
        raise DataError(rule, file=path, code="system-error") from error


@contextmanager
def _raw(path: str) -> Iterator[IO[bytes]]:
    if path == STDIN:
        yield sys.stdin.buffer
        return
    with open_regular(path, NO_LIMIT) as file:
        yield file


class _Rest(io.RawIOBase):
    """The bytes that were read already, and then those of a stream."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self._head, self._stream = head, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._head:
            read = getattr(self._stream, "read1", self._stream.read)
            self._head = read(len(buffer))
        count = min(len(buffer), len(self._head))
        buffer[:count], self._head = self._head[:count], self._head[count:]
        return count


def _peeked(stream: IO[bytes]) -> tuple[bytes, IO[bytes]]:
    """(the first bytes, a stream of all bytes). Does not wait for more of a pipe than there is, but for two lines."""
    if stream is not sys.stdin.buffer and stream.seekable():
        head = stream.read(HEAD_BYTES)
        stream.seek(0)
        return head, stream
    read = getattr(stream, "read1", stream.read)
    head = b""
    while len(head) < HEAD_BYTES and (piece := read(HEAD_BYTES - len(head))):
        head += piece
        if stream is sys.stdin.buffer and head.count(b"\n") > 1:
            break
    return head, io.BufferedReader(_Rest(head, stream))


def _compression(path: str, head: bytes) -> tuple[str, Callable[[IO[bytes]], Any] | None]:
    name = next((name for magic, name in _COMPRESSIONS if head.startswith(magic)), "")
    if name == "gzip":
        return name, lambda stream: gzip.GzipFile(fileobj=stream)
    if name == "bzip2":
        return name, bz2.BZ2File
    if name == "xz":
        return name, lzma.LZMAFile
    if name == "zstandard":
        try:
            import zstandard
        except ImportError as error:
            raise ConfigError.one(
                "data", path, "zstandard requires the package zstandard", "Install it: pip install 'dlexp[zstd]'",
                code="missing-package",
            ) from error  # fmt: skip
        return name, lambda stream: _zstandard(zstandard, stream)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) and not _is_workbook(head):
        return "zip", lambda stream: _member(path, stream)
    return "", None


def _zstandard(package: Any, stream: IO[bytes]) -> IO[bytes]:
    found: IO[bytes] = io.BufferedReader(package.ZstdDecompressor().stream_reader(stream, read_across_frames=True))
    found.seekable = lambda: False  # type: ignore[method-assign]
    return found


@contextmanager
def _member(path: str, stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """The only file of a ZIP archive. Raises DataError for several."""
    if not stream.seekable():
        stream = io.BytesIO(stream.read())
    with zipfile.ZipFile(stream) as archive:
        names = [name for name in archive.namelist() if _is_member(name)]
        if len(names) != 1:
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            rule = f"must contain one file, got {len(names)}" + (f": {some}" if names else "")
            raise DataError(rule, file=path, remedy="Unpack it and name one of its files.")
        try:
            with archive.open(names[0]) as member:
                yield member
        except (RuntimeError, NotImplementedError) as error:  # with a password, or another compression
            raise DataError(f"cannot be unpacked: {error}", file=path, remedy="Unpack it.") from error


def _is_member(name: str) -> bool:
    """Return whether an entry is a file of the user: not a folder, nor what macOS adds."""
    return not name.endswith("/") and not name.startswith("__MACOSX/") and not Path(name).name.startswith("._")


def _is_workbook(head: bytes) -> bool:
    """Return whether a ZIP archive is a workbook, by the names of its entries."""
    return any(entry in head for entry in _WORKBOOKS)


def _format(head: bytes) -> str:
    if head.startswith(b"PK\x03\x04"):
        return "excel"
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "text")
