"""Prediction inputs from arrays in .npy and .npz files; nothing is unpickled.

Symbols: N samples, G usable samples, F features, C channels, H and W height and width in pixels.
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
from dlexp.data.inference.items import InputItems
from dlexp.data.inference.tables import TableInput
from dlexp.data.memory.handed_over import PLACE
from dlexp.data.paths import check_file
from dlexp.data.sources.numpy_files import npy_array, npz_arrays
from dlexp.data.tables.features.encodings import NumberColumn, encoded_columns
from dlexp.data.tables.raw_column import RawColumn
from dlexp.errors import DataError
from dlexp.specs import DataSpec, ImageSpec

_PIECE = 1024  # samples converted at a time

Array = NDArray[Any]


@dataclass(frozen=True)
class ArrayInput:
    """The conversion of samples in arrays to inputs of a network.

    shape      of one input of the network
    white      the largest pixel value in training; None for numbers of any size
    table      the encoding of rows, for data with columns
    narrowing  transform of images before the conversion to float32
    """

    shape: tuple[int, ...]
    white: int | None
    table: TableInput | None
    narrowing: Narrowing | None = None

    @classmethod
    def of(cls, spec: DataSpec, preprocessing: Mapping[str, Any]) -> ArrayInput:
        """The conversion that a run records. Raises DataError for a table with categories."""
        table, white = None, preprocessing.get("white") if isinstance(spec.inputs, ImageSpec) else None
        columns = encoded_columns(preprocessing)
        if columns:
            categories = [fit.name for fit in columns if not isinstance(fit, NumberColumn)]
            if categories:
                rule = f"an array of numbers cannot hold the categories of {', '.join(map(repr, categories))}"
                raise DataError(rule, remedy="Use a CSV or Parquet file.", code="incompatible-data")
            table = TableInput.of(preprocessing, {}, lenient=False)
        narrowing = Narrowing.of_plain(preprocessing)
        return cls(spec.inputs.shape, None if white in (None, 1) else int(white), table, narrowing)

    def read(self, path: str) -> Iterator[InputItems]:
        """The samples of a file in pieces; an unusable one is an item with a problem.

        Raises DataError unless exactly one array has samples of the network's input shape.
        """
        yield from self.read_arrays(path, _arrays(path))

    def read_arrays(self, path: str, arrays: Mapping[str, Array]) -> Iterator[InputItems]:
        """The samples of `arrays`, by name, which messages say are in `path`; see `read`."""
        array = self._fitting(path, arrays)
        self._refuse_shares(path, array[:_PIECE])
        for start in range(0, len(array), _PIECE):
            piece = np.asarray(array[start : start + _PIECE])
            inputs, problems = self._ready(piece)
            found = [f"sample {start + n}, {why}" if why else "" for n, why in enumerate(problems)]
            names: dict[str, list[Any]] = {"input": [path] * len(piece)}
            names["row"] = list(range(start, start + len(piece)))
            yield InputItems(names, found, inputs)

    def _refuse_shares(self, path: str, first: Array) -> None:
        """Raise DataError for floating-point pixels from 0 to 1 if training had integers up to `white`."""
        if self.white is None or first.dtype.kind != "f":
            return
        largest, is_fraction = np.nanmax(first, initial=0), bool((first % 1 != 0).any())
        if 0 < largest <= 1 and is_fraction:
            rule = f"pixels must be 0 to {self.white} as in training, got fractions up to {largest:g}"
            raise DataError(rule, file=path, remedy=f"Multiply them by {self.white}.", code="incompatible-data")

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
        problems = ["" if good else "has a value that is not finite" for good in finite]
        if self.white is not None:
            inside = ((flat >= 0) & (flat <= self.white)).all(axis=1)
            for place in np.flatnonzero(finite & ~inside):
                problems[place] = f"has a pixel outside 0 to {self.white}"
            finite &= inside
        usable = piece[finite]
        is_pixels = self.white is not None and piece.dtype.kind in "iu"
        return torch.from_numpy(np.ascontiguousarray(usable.astype(np.uint8 if is_pixels else np.float32))), problems

    def _fitting(self, path: str, arrays: Mapping[str, Array]) -> Array:
        """The only array with samples of the input shape, as (N, *shape). Raises DataError."""
        shapes = {name: self._placed(array) for name, array in arrays.items() if array.dtype.kind in "biuf"}
        fitting = {name: array for name, array in shapes.items() if array is not None}
        if len(fitting) == 1:
            return next(iter(fitting.values()))
        wanted = "x".join(map(str, self._shape()))
        content = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "nothing"
        rule = f"must hold one array of samples of shape {wanted}, got {len(fitting)}"
        remedy = "Pass only that array." if path == str(PLACE) else "Save only that array, as a .npy file."
        raise DataError(f"{rule} (content: {content})", file=path, remedy=remedy, code="incompatible-data")

    def _shape(self) -> tuple[int, ...]:
        return self.shape if self.table is None else (len(self.table.columns),)

    def _placed(self, array: Array) -> Array | None:
        """`array` as (N, *shape), also from (N, H, W, C) and (N, H, W) with one channel; None for other shapes."""
        shape = self._shape()
        if array.shape[1:] == shape and array.ndim > 1:
            return array
        if len(shape) == 3 and array.shape[1:] == (*shape[1:], shape[0]):
            return array.transpose(0, 3, 1, 2)
        if len(shape) == 3 and shape[0] == 1 and array.shape[1:] == shape[1:]:
            return array[:, None]
        return None


def _arrays(path: str) -> dict[str, Array]:
    """The arrays of a file by name; that of a .npy file is memory-mapped."""
    check_file(Path(path))
    if path.lower().endswith(".npy"):
        return {"array": npy_array(Path(path))}
    return {name: read() for name, read in npz_arrays(Path(path)).items()}
