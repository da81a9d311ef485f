"""Arrays of samples that somebody asks about, from .npy and .npz files; nothing is unpickled.

Symbols: N samples, G samples that can be used, F features, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.images.float_precision import Narrowing
from dlexp.data.inference.items import Items
from dlexp.data.inference.tables import TableInput
from dlexp.data.paths import check_file
from dlexp.data.sources.numpy_files import npy_array, npz_arrays
from dlexp.data.tables.encoding import NumberColumn, columns_of
from dlexp.data.tables.raw_column import RawColumn
from dlexp.errors import DataError
from dlexp.specs import DataSpec, ImageSpec

_PIECE = 1024  # samples that are made ready at a time

Array = NDArray[Any]


@dataclass(frozen=True)
class ArrayInput:
    """How a sample of an array becomes an input.

    shape  of one sample as the network reads it
    white  the largest value of a pixel in training; None for numbers of any size
    table  how a row of numbers is encoded, where the data had columns
    narrowing  what is taken out of images before they become float32
    """

    shape: tuple[int, ...]
    white: int | None
    table: TableInput | None
    narrowing: Narrowing | None = None

    @classmethod
    def of(cls, spec: DataSpec, preprocessing: Mapping[str, Any]) -> ArrayInput:
        """As a run describes its data. Raises DataError for a table with categories, which arrays do not hold."""
        table, white = None, preprocessing.get("white") if isinstance(spec.inputs, ImageSpec) else None
        columns = columns_of(preprocessing)
        if columns:
            categories = [fit.name for fit in columns if not isinstance(fit, NumberColumn)]
            if categories:
                rule = f"an array of numbers has no room for the categories of {', '.join(map(repr, categories))}"
                raise DataError(rule, remedy="give the rows as CSV or Parquet", code="incompatible-data")
            table = TableInput.of(preprocessing, {}, lenient=False)
        narrowing = Narrowing.of_plain(preprocessing)
        return cls(spec.inputs.shape, None if white in (None, 1) else int(white), table, narrowing)

    def read(self, path: str) -> Iterator[Items]:
        """The samples of a file, a piece at a time; one that cannot be used is an item with a problem.

        Raises DataError for a file without an array whose samples are of the network's shape.
        """
        array = self._fitting(path, _arrays(path))
        self._refuse_shares(path, array[:_PIECE])
        for start in range(0, len(array), _PIECE):
            piece = np.asarray(array[start : start + _PIECE])
            inputs, problems = self._ready(piece)
            told = [f"sample {start + n}, {why}" if why else "" for n, why in enumerate(problems)]
            names: dict[str, list[Any]] = {"input": [path] * len(piece)}
            names["row"] = list(range(start, start + len(piece)))
            yield Items(names, told, inputs)

    def _refuse_shares(self, path: str, first: Array) -> None:
        """Raise DataError for floating-point pixels that are shares of white where training had integers up to it."""
        if self.white is None or first.dtype.kind != "f":
            return
        largest, is_fraction = np.nanmax(first, initial=0), bool((first % 1 != 0).any())
        if 0 < largest <= 1 and is_fraction:
            rule = f"pixels must be 0 to {self.white}, as in training, got shares of white (at most {largest:g})"
            raise DataError(rule, file=path, remedy=f"multiply them by {self.white}", code="incompatible-data")

    def _ready(self, piece: Array) -> tuple[Tensor, list[str]]:
        if piece.dtype == np.bool_ and self.white is not None:
            piece = piece * np.int64(self.white)  # as in training
        if self.table is not None:
            problems = [""] * len(piece)
            columns = [RawColumn.of_numbers(column) for column in piece.astype(np.float64).T]
            return torch.from_numpy(self.table.encoded(columns, problems)), problems
        piece = piece if self.narrowing is None else self.narrowing(piece)
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
        shapes = {name: self._placed(array) for name, array in arrays.items() if array.dtype.kind in "biuf"}
        fitting = {name: array for name, array in shapes.items() if array is not None}
        if len(fitting) == 1:
            return next(iter(fitting.values()))
        wanted = "x".join(map(str, self._shape()))
        told = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "nothing"
        rule = f"holds {len(fitting) or 'no'} array{'s' if len(fitting) > 1 else ''} of samples of {wanted} numbers"
        remedy = "save that array alone as a .npy file"
        raise DataError(f"{rule} (it holds {told})", file=path, remedy=remedy, code="incompatible-data")

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
    if path.lower().endswith(".npy"):
        return {"array": npy_array(Path(path))}
    return {name: read() for name, read in npz_arrays(Path(path)).items()}
