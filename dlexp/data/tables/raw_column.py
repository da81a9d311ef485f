"""Raw columns of a file, or pieces of them, and their conversion to numbers and texts.

Training reads whole columns and prediction reads pieces; both use this module, so that cells have the same meaning.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.spelling import Marks, is_sign, number_in
from dlexp.text.quoting import setting


@dataclass(frozen=True)
class Spelled:
    """The distinct texts of a column, with a code for each cell.

    codes     (N,) int64: the number of the text of each cell, -1 for an empty cell
    distinct  the texts, stripped of blanks; some may not occur in any cell
    written   the spelling of each text in the file if it is another one
    """

    codes: NDArray[np.int64]
    distinct: tuple[str, ...]
    written: tuple[str, ...] | None = None


class RawColumn:
    """A column of cells.

    spelled  returns the texts, called only if needed: it may read the file again
    marks    texts that mean "no value"
    values   (N,) of an integer or floating type, NaN for a missing one; None if the file holds texts
    whole    returns the texts with those that mean "no value", if `spelled` has empty cells for them
    """

    def __init__(
        self,
        spelled: Callable[[], Spelled],
        marks: Marks,
        values: NDArray[np.generic] | None = None,
        whole: Callable[[], Spelled] | None = None,
    ) -> None:
        self._spell, self._marks, self._values, self._whole = spelled, marks, values, whole

    @classmethod
    def of_texts(cls, cells: Iterable[object], marks: Marks) -> RawColumn:
        """Create a column of texts; other values, such as None, are empty cells."""
        found = spell(cells)
        return cls(lambda: found, marks)

    @classmethod
    def of_numbers(cls, values: NDArray[np.generic], marks: Marks | None = None) -> RawColumn:
        """Create a column of floats, NaN for a missing one."""
        return cls(lambda: spell_numbers(values, np.isnan(values)), marks or Marks(), values)

    @cached_property
    def spelled(self) -> Spelled:
        """The texts of the file, including those that mean "no value"."""
        return self._spell()

    @cached_property
    def present(self) -> Spelled:
        """The texts without those that mean "no value".

        A text without letters and digits, such as -, is a value where another one is: in a column of + and -.
        """
        codes, distinct = self.spelled.codes, self.spelled.distinct
        marks = self._marks
        if any(is_sign(text) and text not in marks.words for text in distinct):
            marks = marks.without_signs()
        numbers, _ = self._numbers_of_texts
        marked = [
            marks.matches(text, None if np.isnan(value) else float(value))
            for text, value in zip(distinct, numbers[:-1], strict=True)
        ]
        if not any(marked):
            return self.spelled
        return Spelled(np.where(np.array([*marked, True])[codes], -1, codes), distinct, self.spelled.written)

    @property
    def numbers(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """((N,) numbers, NaN for a missing cell and a text; (N,) whether a cell is a text or not finite)."""
        if self._values is None or self._marked is not None:
            return self._cleaned
        return self._values.astype(np.float64, copy=False), self._infinite

    @property
    def integers(self) -> NDArray[np.signedinteger[Any]] | None:
        """(N,) the integers of the file in their own type; None where it holds others, or missing ones."""
        is_whole = self._values is not None and self._values.dtype.kind in "iu" and self._marked is None
        return self._values if is_whole else None  # type: ignore[return-value]

    @cached_property
    def _marked(self) -> NDArray[np.bool_] | None:
        """(N,) whether each number means "no value"; None if none does."""
        assert self._values is not None
        marked = self._marks.among(self._values)
        if self._values.dtype.kind == "f":  # infinities are matched by text, as they have no finite value
            for word, value in (("inf", np.inf), ("-inf", -np.inf)):
                marked = marked | (self._values == value) if self._marks.matches(word, None) else marked
        return marked if marked.any() else None

    @cached_property
    def _infinite(self) -> NDArray[np.bool_]:
        """(N,) whether each number is not finite, in the memory of one where all are."""
        assert self._values is not None
        finite = np.broadcast_to(np.False_, self._values.shape)
        if not len(finite) or (self._values.min() > -np.inf and self._values.max() < np.inf):  # not so with a NaN
            return finite
        found = np.isinf(self._values)
        return found if found.any() else finite

    @cached_property
    def _cleaned(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """`numbers` of texts, and of numbers of which some mean "no value"."""
        if self._values is not None:
            numbers = self._values.astype(np.float64)
            numbers[self._marked] = np.nan
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
        """The number of cells, N."""
        return len(self.spelled.codes) if self._values is None else len(self._values)

    @property
    def has_values(self) -> bool:
        """Whether the file holds numbers in this column, not texts."""
        return self._values is not None

    @cached_property
    def is_text(self) -> bool:
        """Whether the file holds texts in this column, of which one is not a number."""
        return not self.has_values and bool(self._numbers_of_texts[1][self.present.codes].any())

    def cells(self) -> NDArray[Any]:
        """(N,) float64, NaN for a missing cell; or (N,) str objects, None for a missing cell, if any is not a number.

        A non-finite number is a number if the file holds numbers, and text if it holds texts.
        """
        return self.texts() if self.is_text else self.numbers[0]

    def texts(self) -> NDArray[Any]:
        """(N,) str objects in the spelling of the file, None for a missing cell."""
        return np.array([*self.present.distinct, None], dtype=object)[self.present.codes]

    def cell(self, row: int) -> str:
        """The text of one cell in the file, "" for an empty one."""
        code = int(self.spelled.codes[row])
        if code < 0 and self._whole is not None:
            return RawColumn(self._whole, self._marks).cell(row)
        return (self.spelled.written or self.spelled.distinct)[code] if code >= 0 else ""

    def marking(self, texts: Sequence[str]) -> str:
        """The setting that reads `texts` as missing too."""
        return setting("data.missing_values", self._marks.short(texts))

    def select(self, rows: NDArray[Any]) -> RawColumn:
        """The column with only these rows."""

        def spelled() -> Spelled:
            return Spelled(self.spelled.codes[rows], self.spelled.distinct, self.spelled.written)

        def whole() -> Spelled:
            found = (self._whole or self._spell)()
            return Spelled(found.codes[rows], found.distinct, found.written)

        values = None if self._values is None else self._values[rows]
        return RawColumn(spelled, self._marks, values, self._whole and whole)

    def with_signs(self) -> RawColumn:
        """The column in which texts without letters and digits, such as -, are values."""
        return RawColumn(lambda: self.spelled, self._marks.without_signs(), self._values, self._whole)

    def styled(self, read: Callable[[str], str | None]) -> RawColumn:
        """The column with numbers as `read` spells them, which returns None for other texts.

        A number that `read` does not take for one is put in quotes, so that nothing else does.
        """
        return RawColumn(lambda: _respelled(self.spelled, read), self._marks, self._values, self._whole)

    @cached_property
    def _numbers_of_texts(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """For each text, and for an empty cell at the end: its number or NaN; whether it is not a number."""
        numbers = [number_in(text) for text in self.spelled.distinct]
        table = np.array([*(np.nan if number is None else number for number in numbers), np.nan])
        return table, np.array([*(number is None for number in numbers), False])


def spell(cells: Iterable[object]) -> Spelled:
    """The stripped texts of `cells`; other values are empty cells."""
    numbers: dict[object, int] = {}
    codes = np.array([numbers.setdefault(cell, len(numbers)) for cell in cells], dtype=np.int64)
    return spell_coded(codes, numbers)


def spell_coded(codes: NDArray[np.int64], cells: Iterable[object]) -> Spelled:
    """The distinct stripped texts of numbered cells.

    codes  (N,) the position of each cell in `cells`, -1 for an empty one
    """
    stripped: dict[str, int] = {}
    places = []
    for cell in cells:
        text = cell.strip() if isinstance(cell, str) else ""
        places.append(stripped.setdefault(text, len(stripped)) if text else -1)
    return Spelled(np.array([*places, -1], dtype=np.int64)[codes], tuple(stripped))


def _respelled(spelled: Spelled, read: Callable[[str], str | None]) -> Spelled:
    places: dict[str, int] = {}
    written: list[str] = []
    found = []
    for text in spelled.distinct:
        plain = read(text)
        if plain is None:
            plain = text if number_in(text) is None else repr(text)
        place = places.setdefault(plain, len(places))
        if place == len(written):
            written.append(text)
        found.append(place)
    return Spelled(np.array([*found, -1], dtype=np.int64)[spelled.codes], tuple(places), tuple(written))


def spell_numbers(values: NDArray[np.generic], empty: NDArray[np.bool_]) -> Spelled:
    """The texts of numbers (N,): all digits of an integer, the shortest text of a float that reads as the same number.

    empty  (N,) whether each is missing
    """
    distinct, codes = np.unique(values, return_inverse=True)
    texts = tuple(_plain(text) for text in distinct.astype(str)) if len(distinct) else ()
    return Spelled(np.where(empty, -1, codes.astype(np.int64)), texts)


def _plain(text: Any) -> str:
    return str(text).removesuffix(".0")


def filled_rows(columns: Sequence[RawColumn]) -> NDArray[np.bool_]:
    """(N,) whether each row has a cell that is not missing."""
    filled: NDArray[np.bool_] | None = None
    for column in columns:
        here = ~np.isnan(column.numbers[0]) if column.has_values else column.present.codes >= 0
        filled = here if filled is None else filled | here
        if filled.all():
            break
    return np.zeros(0, dtype=np.bool_) if filled is None else filled
