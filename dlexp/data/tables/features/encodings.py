"""Encodings of columns as features, with statistics of the training rows, stored with a run.

Symbols: N rows, W features of a column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.spelling import cell_identity

OTHER = "other"  # name of the feature of all rare categories
_MICROS = 86_400 * 10**6  # of a day
_PERIODS = {"month": 12, "weekday": 7, "hour": 24}
_UNIX_WEEKDAY = 3  # 1970-01-01 was a Thursday


@dataclass(frozen=True)
class DateCells:
    """Dates or times of day.

    values  (N,) datetime64[us], in UTC if they had time zones; or timedelta64[us] since midnight; NaT for missing ones
    order   the order of day and month where both were possible, `day-first` or `month-first`; "" otherwise
    zoned   whether the cells have time zones
    """

    values: NDArray[np.generic]
    order: str = ""
    zoned: bool = False

    @property
    def is_time(self) -> bool:
        """Whether these are times of day."""
        return self.values.dtype.kind == "m"

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class TextCells:
    """Texts that are held once each.

    codes  (N,) of an integer type: the number of the text of each cell, -1 for a missing one
    texts  different from each other; some may not occur
    """

    codes: NDArray[np.signedinteger[Any]]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, column: NDArray[Any] | TextCells) -> TextCells:
        """The texts of (N,) str objects, None for a missing one."""
        if isinstance(column, TextCells):
            return column
        import pandas as pd

        codes, texts = pd.factorize(column)  # a missing cell has the code -1
        return cls(codes, tuple(texts.tolist()))

    @classmethod
    def compact(cls, codes: NDArray[np.int64], texts: tuple[str, ...]) -> TextCells:
        """Cells in as little memory as the number of their texts allows."""
        return cls(codes.astype(np.min_scalar_type(-max(1, len(texts)))), texts)

    def __len__(self) -> int:
        return len(self.codes)

    def counts(self) -> NDArray[np.int64]:
        """How often each of the texts occurs."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))

    def used(self) -> list[str]:
        """The texts that occur, in the order of `texts`."""
        return [self.texts[code] for code in np.flatnonzero(self.counts()).tolist()]

    def places(self, place_of: Callable[[str], int]) -> NDArray[np.int64]:
        """(N,) what `place_of` returns for each text, -1 for a missing one."""
        occurs = np.zeros(len(self.texts) + 1, dtype=np.bool_)
        occurs[self.codes] = True
        of_text = np.full(len(self.texts) + 1, -1, dtype=np.int64)
        for code in np.flatnonzero(occurs[:-1]).tolist():
            of_text[code] = place_of(self.texts[code])
        found: NDArray[np.int64] = of_text[self.codes]
        return found


# (N,) float64, NaN for a missing number, or integers; (N,) str objects, None for a missing one; or one of the classes
Column = NDArray[Any] | DateCells | TextCells


@dataclass(frozen=True)
class NumberColumn:
    """The encoding of a numeric column: a missing cell becomes `fill`, then (x - mean) / std.

    unit   the unit behind each number, "" for none
    loose  whether cells that are not numbers are missing ones, as declared with data.columns
    """

    name: str
    fill: float
    mean: float
    std: float
    unit: str = ""
    loose: bool = False

    kind: ClassVar[str] = "number"
    width: ClassVar[int] = 1

    def encode(self, column: Column) -> NDArray[np.float64]:
        """Encode cells (N,) as (N, 1)."""
        assert isinstance(column, np.ndarray)
        lacking = np.isnan(column)
        filled = np.where(lacking, self.fill, column) if lacking.any() else column
        scaled: NDArray[np.float64] = filled - self.mean
        scaled /= self.std
        return scaled[:, None]

    def statistics(self) -> list[tuple[float, float, float]]:
        """(fill, mean, deviation) of each feature."""
        return [(self.fill, self.mean, self.std)]

    def original(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """The numbers (N,) of encoded cells (N, 1)."""
        return block[:, 0] * self.std + self.mean


@dataclass(frozen=True)
class CategoryColumn:
    """The encoding of a categorical column: one-hot, all zeros for a missing category.

    An unknown category is all zeros too; with `rest`, it is the last feature, as all rare categories of training are.
    """

    name: str
    categories: tuple[str, ...]
    rest: bool = False

    kind: ClassVar[str] = "category"

    @property
    def width(self) -> int:
        """The number of features."""
        return len(self.categories) + self.rest

    def encode(self, column: Column) -> NDArray[np.float64]:
        """Encode cells (N,) as (N, W)."""
        assert not isinstance(column, DateCells)
        places = {text: place for place, text in enumerate(self.categories)}
        unknown = len(self.categories) if self.rest else -1
        return _one_hot(TextCells.of(column).places(lambda text: places.get(text, unknown)), self.width)

    def statistics(self) -> list[tuple[float, float, float]]:
        """(0, 0, 1) for each feature."""
        return [(0.0, 0.0, 1.0)] * self.width

    def original(self, block: NDArray[np.float64]) -> list[str]:
        """The categories (N) of encoded cells (N, W); "-" for none."""
        names = [*self.categories, OTHER]
        return [names[int(row.argmax())] if row.any() else "-" for row in block]


@dataclass(frozen=True)
class HashColumn:
    """The encoding of a column with very many categories: one-hot of a hash, all zeros for a missing category."""

    name: str
    buckets: int

    kind: ClassVar[str] = "hash"

    @property
    def width(self) -> int:
        """The number of features."""
        return self.buckets

    def encode(self, column: Column) -> NDArray[np.float64]:
        """Encode cells (N,) as (N, W)."""
        assert not isinstance(column, DateCells)
        return _one_hot(TextCells.of(column).places(self._bucket), self.buckets)

    def _bucket(self, cell: str) -> int:
        digest = blake2b(cell_identity(cell).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "little") % self.buckets

    def statistics(self) -> list[tuple[float, float, float]]:
        """(0, 0, 1) for each feature."""
        return [(0.0, 0.0, 1.0)] * self.buckets

    def original(self, block: NDArray[np.float64]) -> list[str]:
        """The numbers of the hashes (N) as texts; "-" for none."""
        return [f"hash {int(row.argmax())}" if row.any() else "-" for row in block]


@dataclass(frozen=True)
class DatePart:
    """A part of a date: `elapsed` (days since the first training row), `year`, `month`, `weekday` or `hour`.

    The last three are cyclic: a sine and a cosine. `fill`, `mean` and `std` are of the first two.
    """

    part: str
    fill: float = 0.0
    mean: float = 0.0
    std: float = 1.0

    @property
    def width(self) -> int:
        """The number of features."""
        return 2 if self.part in _PERIODS else 1


@dataclass(frozen=True)
class DateColumn:
    """The encoding of a column of dates or times as parts that vary in the training rows.

    A missing cell is the median of `elapsed`, the mean of `year`, and 0 for sine and cosine.

    parts    the parts
    origin   microseconds from 1970 to the first training row
    order    `day-first`, `month-first`, or "" where training had no dates with both meanings
    zoned    whether cells have time zones
    is_time  whether cells are times of day
    loose    whether cells that are not dates are missing ones, as declared with data.columns
    """

    name: str
    parts: tuple[DatePart, ...]
    origin: int = 0
    order: str = ""
    zoned: bool = False
    is_time: bool = False
    loose: bool = False

    kind: ClassVar[str] = "date"

    @property
    def width(self) -> int:
        """The number of features."""
        return sum(part.width for part in self.parts)

    def encode(self, column: Column) -> NDArray[np.float64]:
        """Encode moments (N,) as (N, W)."""
        assert isinstance(column, DateCells)
        blocks = []
        for part in self.parts:
            numbers = part_of(column.values, part.part, self.origin)
            if part.part in _PERIODS:
                angle = 2 * np.pi * numbers / _PERIODS[part.part]
                blocks += [np.where(np.isnan(angle), 0.0, turn(angle)) for turn in (np.sin, np.cos)]
            else:
                blocks.append((np.where(np.isnan(numbers), part.fill, numbers) - part.mean) / part.std)
        return np.stack(blocks, axis=1) if blocks else np.zeros((len(column.values), 0))

    def statistics(self) -> list[tuple[float, float, float]]:
        """(fill, mean, deviation) of each feature."""
        return [(part.fill, part.mean, part.std) for part in self.parts for _ in range(part.width)]

    def original(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """The first part (N,) of encoded cells (N, W): days since the first training row, a year, month or hour."""
        first = self.parts[0]
        if first.part not in _PERIODS:
            return block[:, 0] * first.std + first.mean
        turns: NDArray[np.float64] = np.arctan2(block[:, 0], block[:, 1]) / (2 * np.pi)
        return turns % 1 * _PERIODS[first.part]


AnyColumn = NumberColumn | CategoryColumn | HashColumn | DateColumn
_CLASSES: Mapping[str, Any] = {kind.kind: kind for kind in (NumberColumn, CategoryColumn, HashColumn, DateColumn)}


def part_of(values: NDArray[np.generic], part: str, origin: int = 0) -> NDArray[np.float64]:
    """(N,) float64: a part of moments (N,), NaN for missing ones.

    elapsed: days since `origin`, in microseconds since 1970. year. month: 0 to 11. weekday: 0, Monday, to 6. hour: 0 to
    24, with its fraction.
    """
    missing, micros = np.isnat(values), values.astype(np.int64)
    found: NDArray[Any]
    if part == "elapsed":
        found = (np.where(missing, 0, micros) - origin) / _MICROS
    elif part == "hour":
        found = micros % _MICROS / (_MICROS / 24)
    elif part == "weekday":
        found = (micros // _MICROS + _UNIX_WEEKDAY) % 7
    elif part == "month":
        found = values.astype("datetime64[M]").astype(np.int64) % 12
    else:
        found = values.astype("datetime64[Y]").astype(np.int64) + 1970
    return np.where(missing, np.nan, found)


def plain_column(fit: AnyColumn) -> dict[str, Any]:
    """Plain values from which `encoded_columns` makes an equal encoding; values of their defaults are left out."""
    standard = {name: field.default for name, field in fit.__dataclass_fields__.items()}
    found = {name: value for name, value in vars(fit).items() if value != standard[name]}
    if isinstance(fit, DateColumn):
        found["parts"] = tuple(asdict(part) for part in fit.parts)
    return {"kind": fit.kind, **found}


def encoded_columns(preprocessing: Mapping[str, Any]) -> tuple[AnyColumn, ...]:
    """The encodings recorded by `build_table`, in the order of the features; () if there are none."""
    return tuple(_of_plain(column) for column in preprocessing.get("columns", ()))


def _of_plain(column: Mapping[str, Any]) -> AnyColumn:
    values = {name: value for name, value in column.items() if name != "kind"}
    if "categories" in values:
        values["categories"] = tuple(values["categories"])
    if "parts" in values:
        values["parts"] = tuple(DatePart(**part) for part in values["parts"])
    found: AnyColumn = _CLASSES[column["kind"]](**values)
    return found


def first_features(fitted: Sequence[AnyColumn]) -> list[int]:
    """The position of the first feature of each column, and the number of features at the end."""
    places = [0]
    for fit in fitted:
        places.append(places[-1] + fit.width)
    return places


def _one_hot(places: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    """(N, width) with 1 at each of `places` (N,); -1 is none."""
    found = np.zeros((len(places), width))
    rows = np.flatnonzero(places >= 0)
    found[rows, places[rows]] = 1.0
    return found
