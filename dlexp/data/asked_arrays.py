"""Arrays of samples that somebody asks about, from .npy and .npz files; nothing is unpickled.

Symbols: N samples, G samples that can be used, F features, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.artifacts.load_failure import holds_objects, why_not_loaded
from dlexp.data.asked import Items
from dlexp.data.asked_tables import TableInput
from dlexp.data.find import check_file
from dlexp.data.tables import NumberColumn, columns_of
from dlexp.errors import DataError
from dlexp.types import DataSpec

_PIECE = 1024  # samples that are made ready at a time

Array = NDArray[Any]


@dataclass(frozen=True)
class ArrayInput:
    """How a sample of an array becomes an input.

    shape  of one sample as the network reads it
    white  the largest value of a pixel in training; None for numbers of any size
    table  how a row of numbers is encoded, where the data had columns
    """

    shape: tuple[int, ...]
    white: int | None
    table: TableInput | None

    @classmethod
    def of(cls, spec: DataSpec, preprocessing: Mapping[str, Any]) -> ArrayInput:
        """As a run describes its data. Raises DataError for a table with categories, which arrays do not hold."""
        table, white = None, preprocessing.get("white") if spec.inputs == "image" else None
        columns = columns_of(preprocessing)
        if columns:
            categories = [fit.name for fit in columns if not isinstance(fit, NumberColumn)]
            if categories:
                rule = f"an array of numbers has no room for the categories of {', '.join(map(repr, categories))}"
                raise DataError(rule, remedy="give the rows as CSV or Parquet")
            table = TableInput.of(preprocessing, {}, lenient=False)
        return cls(spec.input_shape, None if white in (None, 1) else int(white), table)

    def read(self, path: str) -> Iterator[Items]:
        """The samples of a file, a piece at a time; one that cannot be used is an item with a problem.

        Raises DataError for a file without an array whose samples are of the network's shape.
        """
        array = self._fitting(path, _arrays(path))
        for start in range(0, len(array), _PIECE):
            piece = np.asarray(array[start : start + _PIECE])
            inputs, problems = self._ready(piece)
            told = [f"sample {start + n}, {why}" if why else "" for n, why in enumerate(problems)]
            names: dict[str, list[Any]] = {"input": [path] * len(piece)}
            names["row"] = list(range(start, start + len(piece)))
            yield Items(names, told, inputs)

    def _ready(self, piece: Array) -> tuple[Tensor, list[str]]:
        if self.table is not None:
            inputs, problems = self.table.encoded(piece.astype(np.float64).tolist())
            return torch.from_numpy(inputs), problems
        flat = piece.reshape(len(piece), -1)
        finite: NDArray[np.bool_] = np.asarray(np.isfinite(flat).all(axis=1))
        problems = ["" if good else "holds a value that is not finite" for good in finite]
        if self.white is not None:
            inside = ((flat >= 0) & (flat <= self.white)).all(axis=1)
            for place in np.flatnonzero(finite & ~inside):
                problems[place] = f"holds a pixel outside 0 to {self.white}"
            finite &= inside
        kept = piece[finite]
        is_pixels = self.white is not None and piece.dtype.kind in "iu"
        return torch.from_numpy(np.ascontiguousarray(kept.astype(np.uint8 if is_pixels else np.float32))), problems

    def _fitting(self, path: str, arrays: Mapping[str, Array]) -> Array:
        """The one array whose samples have the network's shape, with that shape."""
        shapes = {name: self._placed(array) for name, array in arrays.items() if array.dtype.kind in "iuf"}
        fitting = {name: array for name, array in shapes.items() if array is not None}
        if len(fitting) == 1:
            return next(iter(fitting.values()))
        wanted = "x".join(map(str, self._shape()))
        told = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "nothing"
        rule = f"holds {len(fitting) or 'no'} array{'s' if len(fitting) > 1 else ''} of samples of {wanted} numbers"
        raise DataError(f"{rule} (it holds {told})", file=path, remedy="save that array alone as a .npy file")

    def _shape(self) -> tuple[int, ...]:
        return self.shape if self.table is None else (len(self.table.columns),)

    def _placed(self, array: Array) -> Array | None:
        """`array` as (N, *shape), also from (N, H, W, C) and, of one channel, (N, H, W); None where it is neither."""
        shape = self._shape()
        if array.shape[1:] == shape and array.ndim > 1:
            return array
        if len(shape) == 3 and array.shape[1:] == (*shape[1:], shape[0]):
            return array.transpose(0, 3, 1, 2)
        if len(shape) == 3 and shape[0] == 1 and array.shape[1:] == shape[1:]:
            return array[:, None]
        return None


def _arrays(path: str) -> dict[str, Array]:
    """The arrays of a file by name; that of a .npy file stays on the disk until it is read."""
    check_file(Path(path))
    try:
        if path.lower().endswith(".npy"):
            return {"array": np.load(path, mmap_mode="r", allow_pickle=False)}
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        remedy = "save numbers of one type, such as x.astype('float32')" if holds_objects(error) else ""
        raise DataError(
            f"cannot be read as arrays of numbers: it {why_not_loaded(error)}", file=path, remedy=remedy
        ) from error
