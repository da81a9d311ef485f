"""Readers of arrays in .npy and .npz files; nothing is unpickled.

The size in the header of an array is compared with the size of the file before memory is allocated.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dlexp.artifacts.checkpoints.load_failure import holds_objects, why_not_loaded
from dlexp.errors import DataError, OutOfMemory, message_of
from dlexp.runtime.memory_budget import available_memory

_LOCAL_HEADER = 30  # bytes of a zip member's own header before its name
_DEFLATE = 1032  # largest compression ratio of deflate
_SPARE = 1 << 16  # additional bytes, for nearly empty members
_GIB = float(1 << 30)

Array = NDArray[Any]
Header = tuple[tuple[int, ...], bool, np.dtype[Any]]  # shape, whether in Fortran order, type


def npy_array(file: Path) -> Array:
    """The array in a .npy file, memory-mapped. Raises DataError for an invalid file."""
    with _refusing(file, "the array"), file.open("rb") as stream:
        header = _header(stream)
        _check(header, file.stat().st_size - stream.tell())
        return _mapped(file, stream, header)


def npz_arrays(file: Path) -> dict[str, Callable[[], Array]]:
    """Readers of the arrays in a .npz file, by name. Raises DataError for an invalid file."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise DataError(f"not a valid .npz file: {message_of(error)}", file=file) from error
    return {info.filename.removesuffix(".npy"): _Member(file, info) for info in members}


class _Member:
    """An array in a .npz file: memory-mapped if it is stored uncompressed, else read completely."""

    def __init__(self, file: Path, info: zipfile.ZipInfo) -> None:
        self._file, self._info = file, info

    def __call__(self) -> Array:
        name = self._info.filename.removesuffix(".npy")
        is_stored = self._info.compress_type == zipfile.ZIP_STORED and not self._info.flag_bits & 1
        with _refusing(self._file, f"array {name!r}"):
            return self._stored() if is_stored else self._compressed(name)

    def _stored(self) -> Array:
        with self._file.open("rb") as stream:
            stream.seek(self._info.header_offset)
            local = stream.read(_LOCAL_HEADER)
            stream.seek(int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little"), 1)
            begin = stream.tell()
            header = _header(stream)
            end = min(begin + self._info.file_size, self._file.stat().st_size)
            _check(header, end - stream.tell())
            return _mapped(self._file, stream, header)

    def _compressed(self, name: str) -> Array:
        info = self._info
        if info.flag_bits & 1:
            raise ValueError("it is encrypted")
        is_deflated = info.compress_type == zipfile.ZIP_DEFLATED
        most = min(info.file_size, _DEFLATE * info.compress_size + _SPARE) if is_deflated else info.file_size
        with zipfile.ZipFile(self._file) as archive:
            with archive.open(info) as stream:
                header = _header(stream)
                needed = _check(header, most)
            if needed > available_memory():
                raise OutOfMemory(
                    f"{self._file}: array {name!r} requires {needed / _GIB:,.1f} GiB, but only "
                    f"{available_memory() / _GIB:,.1f} GiB are free. Save it uncompressed, with numpy.savez, so "
                    "that only the used part is read."
                )
            with archive.open(info) as stream:
                found: Array = np.lib.format.read_array(stream, allow_pickle=False)
                return found


def _header(stream: IO[bytes]) -> Header:
    """The header of an array. Raises ValueError for an invalid header, or one of Python objects."""
    try:
        version = np.lib.format.read_magic(stream)
    except ValueError as error:
        raise ValueError("not an array in NumPy's format, and a pickle is not supported") from error
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("Object arrays")
    return shape, bool(is_fortran), dtype


def _check(header: Header, present: int) -> int:
    """The size of an array in bytes. Raises ValueError if it exceeds `present`."""
    shape, _, dtype = header
    if any(size < 0 for size in shape):
        raise ValueError(f"the header has the invalid shape {shape}")
    needed = prod(shape) * dtype.itemsize
    if needed > present:
        rule = f"the header has {dtype} numbers of shape {shape}, {needed:,} bytes"
        raise ValueError(f"{rule}, but the file has at most {max(0, present):,} bytes")
    return needed


def _mapped(file: Path, stream: IO[bytes], header: Header) -> Array:
    """The array after `header`, memory-mapped; read if it is empty or a single number."""
    shape, is_fortran, dtype = header
    if 0 in shape or not shape:
        return np.frombuffer(stream.read(dtype.itemsize * prod(shape)), dtype).reshape(shape)
    return np.memmap(file, dtype, "r", stream.tell(), shape, "F" if is_fortran else "C")


@contextmanager
def _refusing(file: Path, what: str) -> Iterator[None]:
    """Convert errors of NumPy and zipfile for invalid files to a DataError that names the file."""
    try:
        yield
    except (DataError, OutOfMemory):
        raise
    except (
        *(ValueError, OSError, EOFError, OverflowError, TypeError, KeyError),
        *(RuntimeError, NotImplementedError),  # an encrypted member, an unknown compression
        *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    ) as error:
        if "Object arrays" not in str(error) and holds_objects(error):
            raise DataError(f"{what} {why_not_loaded(error)}", file=file, code="untrusted") from error
        if holds_objects(error):
            rule = f"{what} contains Python objects, which require unpickling, and that can run arbitrary code"
            remedy = "Save numbers or text of one type, such as x.astype('float32')"
            raise DataError(rule, file=file, remedy=remedy, code="untrusted") from error
        raise DataError(f"{what} cannot be read: {message_of(error)}", file=file) from error
