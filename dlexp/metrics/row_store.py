"""Arrays that grow by rows as batches come, without ever being copied as a whole.

The short-lived tensors of each batch leave holes in the heap that the next ones do not fit: for 20,000 samples of
10,000 classes, whose logits are 0.8 GB, small arrays added up to as much again. So rows are copied into few large ones.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dlexp.runtime.out_of_memory import release_free_memory

Scalar = TypeVar("Scalar", bound=np.generic)

_CHUNK_BYTES = 1 << 26  # above what malloc ever takes from its heap
_LARGE_BYTES = 1 << 20  # of rows that are appended


class RowStore(Generic[Scalar]):
    """Rows (n, ...) of one dtype, appended batch by batch; it can be pickled, and another one can be added."""

    def __init__(self) -> None:
        self._full: list[NDArray[Scalar]] = []
        self._chunk: NDArray[Scalar] | None = None
        self._used = 0

    def __len__(self) -> int:
        return sum(len(part) for part in self._full) + self._used

    @property
    def num_bytes(self) -> int:
        """Of the rows that are kept."""
        return sum(part.nbytes for part in self.parts)

    @property
    def parts(self) -> list[NDArray[Scalar]]:
        """All rows in order, in few arrays, which are not copies."""
        return [*self._full, *([] if self._chunk is None or not self._used else [self._chunk[: self._used]])]

    def append(self, rows: NDArray[Scalar]) -> None:
        """Keep a copy of `rows`."""
        start = 0
        while start < len(rows):
            chunk = self._chunk
            if chunk is None or chunk.dtype != rows.dtype or chunk.shape[1:] != rows.shape[1:]:
                chunk = self._grow(rows, len(rows) - start)
            end = min(len(rows), start + len(chunk) - self._used)
            chunk[self._used : self._used + end - start] = rows[start:end]
            self._used += end - start
            start = end
            if self._used == len(chunk):
                self._close()

    def extend(self, other: RowStore[Scalar]) -> None:
        """Take in the rows of another store, after those of this one; they are shared, not copied."""
        self._close()
        self._full += other.parts

    def joined(self) -> NDArray[Scalar]:
        """All rows, at least one, as one array; the parts are given up, so that they are not kept twice."""
        parts = self.parts
        whole: NDArray[Scalar] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._full, self._chunk, self._used = [whole], None, 0
        return whole

    def _grow(self, rows: NDArray[Scalar], left: int) -> NDArray[Scalar]:
        """A new chunk: as many rows as there are, so that there are few chunks, but at most `_CHUNK_BYTES`."""
        self._close()
        of_row = max(1, rows.nbytes // len(rows))
        if rows.nbytes >= _LARGE_BYTES:
            release_free_memory()
        size = max(left, min(len(self), _CHUNK_BYTES // of_row))
        self._chunk = np.empty((size, *rows.shape[1:]), dtype=rows.dtype)
        return self._chunk

    def _close(self) -> None:
        self._full, self._chunk, self._used = self.parts, None, 0

    def __getstate__(self) -> dict[str, Any]:
        return {"parts": self.parts}  # without the empty rest of the last chunk

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._full, self._chunk, self._used = state["parts"], None, 0
