"""Arrays in a file, by name: .npz and .pt, mapped where the file allows it, so that only what is used is read.

Nothing is unpickled: .npz is read with allow_pickle=False, .pt with weights_only=True.

Symbols: N samples.
"""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.artifacts.checkpoints.load_failure import holds_objects, why_not_loaded
from dlexp.data.paths import check_file
from dlexp.data.sources.numpy_files import npz_arrays
from dlexp.errors import Code, DataError
from dlexp.networks.weight_checks import kind_of
from dlexp.runtime.memory_budget import available_memory

_HASHED = 1 << 30  # bytes of an array that are hashed; of a larger one evenly spread parts
_PART = 1 << 20  # bytes hashed at a time

Arrays = Mapping[str, Callable[[], NDArray[Any]]]  # name -> reads it


def open_arrays(file: Path) -> Arrays:
    """The arrays in `file`. Raises DataError for what is no such file, and for pickled objects in one."""
    check_file(file)
    if file.suffix == ".npz":
        return npz_arrays(file)
    if file.suffix in (".pt", ".pth"):
        return _pt(file)
    remedy = "save it with numpy.savez (.npz) or torch.save (.pt)"
    raise DataError(
        f"a file of arrays ends in .npz or .pt, not {file.suffix!r}", file=file, remedy=remedy, code="not-supported"
    )


def _pt(file: Path) -> Arrays:
    is_mapped = zipfile.is_zipfile(file)  # files of before torch 1.6 are none, and are read whole
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensors that are refused where they are used
            found: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=is_mapped)
    except Exception as error:  # torch raises UnpicklingError for what it refuses, and all kinds for damage
        remedy = 'save tensors alone: torch.save({"x": x, "y": y}, FILE)' if holds_objects(error) else ""
        code: Code = "untrusted" if holds_objects(error) else "invalid-data"
        rule = f"is no file of torch.save with tensors: it {why_not_loaded(error)}"
        raise DataError(rule, file=file, remedy=remedy, code=code) from error
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        remedy = 'save them by name: torch.save({"x": x, "y": y}, FILE)'
        raise DataError(
            f"holds a {type(found).__name__}, not tensors by name", file=file, remedy=remedy, code="invalid-type"
        )
    return {name: _Tensor(file, name, value) for name, value in found.items() if isinstance(value, Tensor)}


class _Tensor:
    """A tensor in a .pt file."""

    def __init__(self, file: Path, name: str, value: Tensor) -> None:
        self._file, self._name, self._value = file, name, value

    def __call__(self) -> NDArray[Any]:
        value = self._value.detach()
        if kind := kind_of(value):
            raise DataError(f"tensor {self._name!r} is {kind}, not dense", file=self._file, code="invalid-type")
        if value.is_complex():
            rule = f"tensor {self._name!r} holds complex numbers"
            remedy = "save their real and imaginary parts"
            raise DataError(rule, file=self._file, remedy=remedy, code="invalid-type")
        # A tensor may repeat the few numbers of its file without end.
        needed, stored = value.numel() * max(4, value.element_size()), value.untyped_storage().nbytes()
        if needed > max(2 * stored, available_memory()):
            rule = f"tensor {self._name!r} claims the shape {tuple(value.shape)}, and the file holds {stored:,} bytes"
            raise DataError(rule, file=self._file, remedy="save numbers, such as x.clone()")
        is_narrow = value.is_floating_point() and value.dtype not in (torch.float32, torch.float64)
        found: NDArray[Any] = (value.float() if is_narrow else value).resolve_neg().numpy()
        return found


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
