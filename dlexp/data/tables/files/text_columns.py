"""Columns of a text file as they are read, some rows at a time, so that no table of the library that reads stays.

Symbols: N rows of the file, M rows of a part of it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.page_arrays import page_array
from dlexp.data.tables.raw_column import Spelled, spell_coded
from dlexp.data.tables.spelling import is_sign

_INTEGERS = (np.int8, np.int16, np.int32, np.int64)


class ReadColumn:
    """A column of numbers or texts that grows by parts, as pandas reads them.

    It is `lost` if it must be read again as texts: it has numbers in some parts and texts in others, whose numbers have
    lost their spelling; infinities, which are texts; signs in a column where they may be values; or booleans.

    room  at least N
    """

    def __init__(self, room: int) -> None:
        self._room, self._size, self._lost = room, 0, False
        self._numbers: NDArray[Any] | None = None
        self._has_numbers = False
        self._codes: NDArray[np.int64] | None = None
        self._texts: dict[str, int] = {}

    def add(self, part: Any) -> None:
        """Append M cells, a Series of pandas."""
        import pandas as pd

        end = self._size + len(part)
        if self._lost:
            pass
        elif isinstance(part.dtype, pd.StringDtype):
            self._add_texts(part, end)
        elif part.dtype.kind in "iuf":
            self._add_numbers(part.to_numpy(), end)
        else:
            self._lose()
        self._size = end

    def numbers(self) -> NDArray[np.generic] | None:
        """(N,) the numbers, NaN for a missing one; whole ones in the smallest type that has them. None of texts."""
        return None if self._numbers is None else self._numbers[: self._size]

    def spelled(self) -> Spelled | None:
        """The texts, without default words for "no value"; None of numbers, and of a column that is lost."""
        if self._codes is None:
            return None
        codes = self._codes[: self._size]
        if any(map(is_sign, self._texts)) and (codes < 0).any():
            self._lose()
            return None
        return spell_coded(codes, self._texts)

    def _lose(self) -> None:
        self._lost, self._numbers, self._codes, self._texts = True, None, None, {}

    def _add_numbers(self, part: NDArray[Any], end: int) -> None:
        is_float = part.dtype.kind == "f"
        has_numbers = self._has_numbers or not is_float or not np.isnan(part).all()
        if self._codes is not None and not has_numbers:
            self._codes[self._size : end] = -1
            return
        if self._codes is not None or (is_float and _has_infinities(part)):
            self._lose()
            return
        kind = part.dtype if is_float else _smallest(part)
        if self._numbers is None:
            self._numbers = page_array(self._room, kind)
        elif self._numbers.dtype != kind and (wider := np.result_type(self._numbers, kind)) != self._numbers.dtype:
            wide = page_array(self._room, wider)
            wide[: self._size] = self._numbers[: self._size]
            self._numbers = wide
        self._has_numbers = has_numbers
        self._numbers[self._size : end] = part

    def _add_texts(self, part: Any, end: int) -> None:
        import pandas as pd

        if self._has_numbers:
            self._lose()
            return
        if self._codes is None:
            self._numbers, self._codes = None, page_array(self._room, np.int64)
            self._codes[: self._size] = -1
        codes, cells = pd.factorize(part)
        places = [self._texts.setdefault(cell, len(self._texts)) for cell in cells.tolist()]
        self._codes[self._size : end] = np.array([*places, -1], dtype=np.int64)[codes]


class CheckedBytes:
    """UTF-8 as bytes, which pandas takes as they are: text would be decoded and encoded again.

    `read` raises UnicodeDecodeError for a byte that is no UTF-8, with its place in the stream.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._place = stream, 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        piece = self._stream.read(size)
        pending = self._decoder.getstate()[0]
        if not piece.isascii() or pending:
            try:
                self._decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                error.start += self._place - len(pending)
                raise
        self._place += len(piece)
        return piece

    def __iter__(self) -> Iterator[bytes]:
        """What pandas asks of a file."""
        return iter(self._stream)


def _has_infinities(part: NDArray[Any]) -> bool:
    low, high = part.min(initial=0.0), part.max(initial=0.0)
    if low > -np.inf and high < np.inf:  # not so with a NaN
        return False
    return bool(np.isinf(part).any())


def _smallest(part: NDArray[Any]) -> np.dtype[Any]:
    """The smallest signed type that has all of some integers; their own, if unsigned ones need it."""
    low, high = int(part.min(initial=0)), int(part.max(initial=0))
    fitting = (np.dtype(kind) for kind in _INTEGERS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return next(fitting, part.dtype)
