"""The features of a table as one array, which is filled column by column and read row by row.

Symbols: N rows, F features, M rows of a part, W features of a column.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.page_arrays import page_array

# Rows of a tile. Not a power of two: its columns would share the same lines of the cache.
_TILE = 2032
ROWS = 16 * _TILE  # rows that are put in at a time, which bounds the memory of float64


class FeatureArray:
    """(N, F) of float32, made without a second copy.

    Until it is finished, the rows are held in tiles, and a tile column after column: what is put in of a column lies
    side by side, so that it needs memory when the column it was made of can be freed, and not before.
    """

    def __init__(self, count: int, width: int) -> None:
        self._values = page_array((count, width), np.float32, in_turn=False)
        self._width = width

    def put(self, start: int, first: int, block: NDArray[Any]) -> None:
        """Put in some features of some rows.

        start  the first row, a multiple of `ROWS`
        first  the first feature
        block  (M, W), M at most `ROWS`, less only at the end of the array
        """
        flat, width = self._values.reshape(-1), block.shape[1]
        tiles, rest = divmod(len(block), _TILE)
        end = start + tiles * _TILE
        whole = flat[start * self._width : end * self._width].reshape(tiles, self._width, _TILE)
        whole[:, first : first + width] = block[: end - start].reshape(tiles, _TILE, width).transpose(0, 2, 1)
        if rest:
            flat[end * self._width :].reshape(self._width, rest)[first : first + width] = block[end - start :].T

    def finished(self) -> NDArray[np.float32]:
        """(N, F), row after row. Nothing can be put in after it."""
        for start in range(0, len(self._values), _TILE):
            tile = self._values[start : start + _TILE]
            tile[:] = np.ascontiguousarray(tile.reshape(self._width, len(tile)).T)
        return self._values


def fingerprint_in_order(features: NDArray[np.float32], order: NDArray[np.int64], targets: NDArray[Any] | None) -> str:
    """SHA-256 of features and targets in the order of the file, as `fingerprint_of`, without a copy of the features.

    order  (N,) the row of the file in each row of `features` (N, F)
    """
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    digest = hashlib.sha256(f"{features.shape}{features.dtype}".encode())
    for start in range(0, len(order), _TILE):
        digest.update(features.take(place[start : start + _TILE], axis=0).data)
    if targets is not None:
        digest.update(f"{targets.shape}{targets.dtype}".encode())
        digest.update(np.ascontiguousarray(targets).tobytes())
    return digest.hexdigest()
