"""Arrays in a file, by name: .npz and .pt, mapped where the file allows it, so that only what is used is read.

Nothing is unpickled: .npz is read with allow_pickle=False, .pt with weights_only=True.

Symbols: N samples.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.artifacts.load_failure import holds_objects, why_not_loaded
from dlexp.data.find import check_file
from dlexp.errors import DataError

_LOCAL_HEADER = 30  # bytes of a zip member's own header before its name
_HASHED = 1 << 30  # bytes of an array that are hashed; of a larger one evenly spread parts
_PART = 1 << 20  # bytes hashed at a time

Arrays = Mapping[str, Callable[[], NDArray[Any]]]  # name -> reads it


def open_arrays(file: Path) -> Arrays:
    """The arrays in `file`. Raises DataError for what is no such file, and for pickled objects in one."""
    check_file(file)
    if file.suffix == ".npz":
        return _npz(file)
    if file.suffix in (".pt", ".pth"):
        return _pt(file)
    remedy = "save it with numpy.savez (.npz) or torch.save (.pt)"
    raise DataError(f"a file of arrays ends in .npz or .pt, not {file.suffix!r}", file=file, remedy=remedy)


def _npz(file: Path) -> Arrays:
    try:
        with zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"is no .npz file: {error}", file=file) from error
    return {info.filename.removesuffix(".npy"): _Member(file, info) for info in members}


class _Member:
    """An array in a .npz file: mapped where it is stored as it is, read whole where it is compressed."""

    def __init__(self, file: Path, info: zipfile.ZipInfo) -> None:
        self._file, self._info = file, info

    def __call__(self) -> NDArray[Any]:
        name = self._info.filename.removesuffix(".npy")
        try:
            if self._info.compress_type == zipfile.ZIP_STORED:
                return self._mapped()
            with np.load(self._file, allow_pickle=False) as found:
                whole: NDArray[Any] = found[name]
                return whole
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, zipfile.error) as error:
            if holds_objects(error):
                raise _pickled(self._file, name) from error
            raise DataError(f"array {name!r} cannot be read: {error}", file=self._file) from error

    def _mapped(self) -> NDArray[Any]:
        with self._file.open("rb") as file:
            file.seek(self._info.header_offset)
            header = file.read(_LOCAL_HEADER)
            lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
            file.seek(lengths, 1)
            shape, fortran, dtype = _array_header(file)
            if dtype.hasobject:
                raise ValueError("Object arrays")
            start = file.tell()
        if 0 in shape or not shape:
            with np.load(self._file, allow_pickle=False) as found:
                small: NDArray[Any] = found[self._info.filename.removesuffix(".npy")]
                return small
        return np.memmap(self._file, dtype, "r", start, shape, "F" if fortran else "C")


def _array_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, whether in Fortran's order, type), as the header of an array in NumPy's format says."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return shape, bool(fortran), dtype


def _pt(file: Path) -> Arrays:
    is_mapped = zipfile.is_zipfile(file)  # files of before torch 1.6 are none, and are read whole
    try:
        found: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=is_mapped)
    except Exception as error:  # torch raises UnpicklingError for what it refuses, and all kinds for damage
        remedy = 'save tensors alone: torch.save({"x": x, "y": y}, FILE)' if holds_objects(error) else ""
        raise DataError(
            f"is no file of torch.save with tensors: it {why_not_loaded(error)}", file=file, remedy=remedy
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        remedy = 'save them by name: torch.save({"x": x, "y": y}, FILE)'
        raise DataError(f"holds a {type(found).__name__}, not tensors by name", file=file, remedy=remedy)
    return {name: _Tensor(file, name, value) for name, value in found.items() if isinstance(value, Tensor)}


class _Tensor:
    """A tensor in a .pt file."""

    def __init__(self, file: Path, name: str, value: Tensor) -> None:
        self._file, self._name, self._value = file, name, value

    def __call__(self) -> NDArray[Any]:
        value = self._value.detach()
        if value.layout != torch.strided or value.is_quantized:
            raise DataError(f"tensor {self._name!r} is of the kind {value.layout}, not dense", file=self._file)
        found: NDArray[Any] = (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
        return found


def _pickled(file: Path, name: str) -> DataError:
    rule = f"array {name!r} holds Python objects, which only unpickling could read, and that could run anything"
    return DataError(rule, file=file, remedy="save numbers or text of one type, such as x.astype('float32')")


def digest(arrays: Sequence[NDArray[Any]]) -> str:
    """SHA-256 over shapes, types and bytes; of an array of more than 1 GiB over evenly spread parts of it."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.shape}{array.dtype}".encode())
        rows = max(1, _PART * len(array) // max(1, array.nbytes))
        apart = rows * -(-array.nbytes // _HASHED)
        for start in range(0, len(array), max(1, apart)):
            found.update(np.ascontiguousarray(array[start : start + rows]).tobytes())
    return found.hexdigest()
