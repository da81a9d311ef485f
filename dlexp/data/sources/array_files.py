"""Named arrays in .npz and .pt files, memory-mapped if possible.

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
from dlexp.networks.weight_checks import tensor_kind
from dlexp.runtime.memory_budget import available_memory

_HASHED = 1 << 30  # bytes of an array that are hashed, in evenly spread parts
_PART = 1 << 20  # bytes hashed at a time

Arrays = Mapping[str, Callable[[], NDArray[Any]]]  # name -> reader


def open_arrays(file: Path) -> Arrays:
    """The arrays in `file`. Raises DataError for another format and for pickled objects."""
    check_file(file)
    if file.suffix == ".npz":
        return npz_arrays(file)
    if file.suffix in (".pt", ".pth"):
        return _pt(file)
    remedy = "Save the arrays with numpy.savez (.npz) or torch.save (.pt)."
    raise DataError(f"must be a .npz or .pt file, got {file.suffix!r}", file=file, remedy=remedy, code="not-supported")


def _pt(file: Path) -> Arrays:
    is_mapped = zipfile.is_zipfile(file)  # files of versions before torch 1.6 are not, and are read whole
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tensors that are rejected when they are used
            found: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=is_mapped)
    except Exception as error:  # torch raises UnpicklingError for unsafe content, and many types for damage
        remedy = 'Save only tensors: torch.save({"x": x, "y": y}, FILE)' if holds_objects(error) else ""
        code: Code = "untrusted" if holds_objects(error) else "invalid-data"
        rule = f"not a file of tensors saved by torch.save: it {why_not_loaded(error)}"
        raise DataError(rule, file=file, remedy=remedy, code=code) from error
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        remedy = 'Save them by name: torch.save({"x": x, "y": y}, FILE)'
        raise DataError(
            f"must hold tensors by name, got {type(found).__name__}", file=file, remedy=remedy, code="invalid-type"
        )
    return {name: _Tensor(file, name, value) for name, value in found.items() if isinstance(value, Tensor)}


class _Tensor:
    """A tensor in a .pt file."""

    def __init__(self, file: Path, name: str, value: Tensor) -> None:
        self._file, self._name, self._value = file, name, value

    def __call__(self) -> NDArray[Any]:
        value = self._value.detach()
        if kind := tensor_kind(value):
            raise DataError(f"tensor {self._name!r} must be dense, got {kind}", file=self._file, code="invalid-type")
        if value.is_complex():
            rule = f"tensor {self._name!r} must be real, got complex numbers"
            remedy = "Save the real and imaginary parts."
            raise DataError(rule, file=self._file, remedy=remedy, code="invalid-type")
        # An expanded tensor can repeat few stored numbers many times.
        needed, stored = value.numel() * max(4, value.element_size()), value.untyped_storage().nbytes()
        if needed > max(2 * stored, available_memory()):
            rule = (
                f"tensor {self._name!r} has the shape {tuple(value.shape)}, but the file stores only {stored:,} bytes"
            )
            raise DataError(rule, file=self._file, remedy="Save a full copy: x.clone()")
        is_narrow = value.is_floating_point() and value.dtype not in (torch.float32, torch.float64)
        found: NDArray[Any] = (value.float() if is_narrow else value).resolve_neg().numpy()
        return found


def digest(arrays: Sequence[NDArray[Any]]) -> str:
    """SHA-256 over shapes, types and bytes; over evenly spread parts of arrays above 1 GiB."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.shape}{array.dtype}".encode())
        rows = max(1, _PART * len(array) // max(1, array.nbytes))
        stride = rows * -(-array.nbytes // _HASHED)
        for start in range(0, len(array), max(1, stride)):
            found.update(np.ascontiguousarray(array[start : start + rows]).tobytes())
    return found.hexdigest()
