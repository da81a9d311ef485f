"""A column as a file holds it, or a piece of one: the one way from cells to numbers and texts.

Training reads whole columns and prediction reads pieces; both go through here, so that a cell means the same to both.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.spelling import Marks, number_in


@dataclass(frozen=True)
class Spelled:
    """The texts of a column, each kept once.

    codes     (N,) int64: the number of each cell's text, -1 for an empty cell
    distinct  the texts, without the blanks around them; some may occur in no cell
    """

    codes: NDArray[np.int64]
    distinct: tuple[str, ...]


class RawColumn:
    """A column of cells.

    spelled  the texts, made when they are first needed: reading them again may cost a pass over the file
    marks    texts that mean "no value"
    values   (N,) of an integer or floating type, NaN for a missing one; None where the file holds texts
    """

    def __init__(self, spelled: Callable[[], Spelled], marks: Marks, values: NDArray[np.generic] | None = None) -> None:
        self._spell, self._marks, self._values = spelled, marks, values

    @classmethod
    def of_texts(cls, cells: Iterable[object], marks: Marks) -> RawColumn:
        """A column of texts; None and everything else that is no text is an empty cell."""
        found = spell(cells)
        return cls(lambda: found, marks)

    @classmethod
    def of_numbers(cls, values: NDArray[np.generic], marks: Marks | None = None) -> RawColumn:
        """A column of floats, NaN for a missing one."""
        return cls(lambda: spell_numbers(values, np.isnan(values)), marks or Marks(), values)

    @cached_property
    def spelled(self) -> Spelled:
        """The texts as the file has them, those that mean "no value" too."""
        return self._spell()

    @cached_property
    def present(self) -> Spelled:
        """The texts without those that mean "no value"."""
        codes, distinct = self.spelled.codes, self.spelled.distinct
        numbers, _ = self._numbers_of_texts
        marked = [
            self._marks.matches(text, None if np.isnan(value) else float(value))
            for text, value in zip(distinct, numbers[:-1], strict=True)
        ]
        if not any(marked):
            return self.spelled
        return Spelled(np.where(np.array([*marked, True])[codes], -1, codes), distinct)

    @cached_property
    def numbers(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """((N,) numbers, NaN for a missing cell and for what is no number; (N,) which cells are no finite number)."""
        if self._values is not None:
            marked = self._marks.among(self._values)
            numbers = self._values.astype(np.float64)
            if marked.any():
                numbers[marked] = np.nan
            return numbers, np.isinf(numbers)
        codes = self.present.codes
        table, wrong = self._numbers_of_texts
        numbers, bad = table[codes], wrong[codes]
        by_value = self._marks.among(numbers)
        if by_value.any():
            numbers[by_value] = np.nan
        return numbers, bad

    @property
    def size(self) -> int:
        """N."""
        return len(self.spelled.codes) if self._values is None else len(self._values)

    @property
    def has_values(self) -> bool:
        """Whether the file holds numbers here, and no texts."""
        return self._values is not None

    def cells(self) -> NDArray[Any]:
        """(N,) float64, NaN for a missing number, or (N,) str objects, None for a missing one, where one is no number.

        A number that is not finite is one where the file holds numbers, and text where it holds texts.
        """
        numbers, bad = self.numbers
        return self.texts() if bad.any() and not self.has_values else numbers

    def texts(self) -> NDArray[Any]:
        """(N,) str objects as spelled in the file, None for a missing cell."""
        return np.array([*self.present.distinct, None], dtype=object)[self.present.codes]

    def cell(self, row: int) -> str:
        """The text of one cell as the file has it, "" for an empty one."""
        code = int(self.spelled.codes[row])
        return self.spelled.distinct[code] if code >= 0 else ""

    def chosen(self, rows: NDArray[Any]) -> RawColumn:
        """The same column with no other rows."""

        def spelled() -> Spelled:
            return Spelled(self.spelled.codes[rows], self.spelled.distinct)

        return RawColumn(spelled, self._marks, None if self._values is None else self._values[rows])

    @cached_property
    def _numbers_of_texts(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Of each text, and of an empty cell behind them: its number or NaN; whether it is none."""
        numbers = [number_in(text) for text in self.spelled.distinct]
        table = np.array([*(np.nan if number is None else number for number in numbers), np.nan])
        return table, np.array([*(number is None for number in numbers), False])


def spell(cells: Iterable[object]) -> Spelled:
    """The texts of some cells without the blanks around them; what is no text is empty."""
    numbers: dict[object, int] = {}
    codes = np.array([numbers.setdefault(cell, len(numbers)) for cell in cells], dtype=np.int64)
    return spell_coded(codes, numbers)


def spell_coded(codes: NDArray[np.int64], cells: Iterable[object]) -> Spelled:
    """The texts of cells that were numbered, each kept once.

    codes  (N,) the number of each cell among `cells`, -1 for an empty one
    """
    stripped: dict[str, int] = {}
    places = []
    for cell in cells:
        text = cell.strip() if isinstance(cell, str) else ""
        places.append(stripped.setdefault(text, len(stripped)) if text else -1)
    return Spelled(np.array([*places, -1], dtype=np.int64)[codes], tuple(stripped))


def spell_numbers(values: NDArray[np.generic], empty: NDArray[np.bool_]) -> Spelled:
    """The texts of numbers (N,): every digit of an integer, the shortest text of a float that is read as the same one.

    empty  (N,) which are missing
    """
    distinct, codes = np.unique(values, return_inverse=True)
    texts = tuple(_plain(text) for text in distinct.astype(str)) if len(distinct) else ()
    return Spelled(np.where(empty, -1, codes.astype(np.int64)), texts)


def _plain(text: Any) -> str:
    return str(text).removesuffix(".0")


def filled_rows(columns: Sequence[RawColumn]) -> NDArray[np.bool_]:
    """(N,) which rows have a cell that is not missing."""
    filled: NDArray[np.bool_] | None = None
    for column in columns:
        here = ~np.isnan(column.numbers[0]) if column.has_values else column.present.codes >= 0
        filled = here if filled is None else filled | here
        if filled.all():
            break
    return np.zeros(0, dtype=np.bool_) if filled is None else filled
