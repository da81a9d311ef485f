"""Rows of tables that somebody asks about, encoded as the training rows were; a row at a time may be wrong.

A missing number becomes the median of the training rows and a missing or never seen category none of the categories,
as in training.

Symbols: N rows, G rows that can be used, F features after encoding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.inference.items import Items
from dlexp.data.inference.row_reader import opened
from dlexp.data.tables.encoding import CategoryColumn, NumberColumn, columns_of
from dlexp.data.tables.index_columns import is_index_name
from dlexp.data.tables.mixed_column import special_in
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import MISSING, Marks, identity, number_in
from dlexp.errors import DataError
from dlexp.runtime.rounding import LARGEST

_FARTHEST = float(np.finfo(np.float32).max)  # of a standardised number
_NAMED = 5  # categories that a note names
_LISTED = 30  # columns that a refusal lists
_HELD = 16  # pieces that wait for the first category that is known


@dataclass(frozen=True)
class TableInput:
    """How a row becomes an input.

    columns    what is read, in the order of the features
    unread     columns that a file may have beside them: the target, and what training left out
    empty      cells that mean no value
    separator  between two cells of a CSV file
    lenient    pass over columns that training did not have
    unknown    column -> how often each category came that training never had; counted while rows are read
    """

    columns: tuple[NumberColumn | CategoryColumn, ...]
    unread: frozenset[str]
    empty: frozenset[str]
    separator: str
    lenient: bool = False
    unknown: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, preprocessing: Mapping[str, Any], arguments: Mapping[str, Any], lenient: bool) -> TableInput:
        """As a run describes its data; `arguments` are those of the data source. Raises DataError without columns."""
        columns = columns_of(preprocessing)
        if not columns:
            rule, remedy = "this run was not trained on a table with named columns", "give it a .npy or .npz file"
            raise DataError(rule, remedy=remedy, code="incompatible-data")
        unread = {*preprocessing.get("unread", ()), str(arguments.get("target", "target"))}
        empty = frozenset(["", *arguments.get("missing_values", MISSING)])
        return cls(columns, frozenset(unread), empty, str(arguments.get("separator", ",")), lenient)

    def check(self, path: str) -> None:
        """Raise DataError for a file that cannot be read at all, or whose columns are not those of training."""
        with opened(path, self.separator, Marks(self.empty)) as table:
            self._places(path, table.header)

    def read(self, path: str) -> Iterator[Items]:
        """The rows of a file, or of standard input for `-`; one that cannot be used is an item with a problem.

        Raises DataError for a file that cannot be read at all, or whose columns are not those of training, and for one
        with two rows or more that has a column without a single category of training: it is another column, or the
        same in another spelling. Rows wait for the first known category, 65,536 of them at most.
        """
        number, held, seen = 0, list[Items](), Recognized()
        with opened(path, self.separator, Marks(self.empty)) as table:
            for piece in table.rows(self._places(path, table.header)):
                problems = list(piece.problems)
                inputs = self.encoded(piece.columns, problems, seen)
                told = zip(piece.places, problems, strict=True)
                names: dict[str, list[Any]] = {"input": [path] * len(problems)}
                names["row"] = list(range(number, number + len(problems)))
                number += len(problems)
                found = [f"{table.place} {place}, {problem}" if problem else "" for place, problem in told]
                held.append(Items(names, found, torch.from_numpy(inputs)))
                if len(held) > _HELD or not seen.strange():
                    yield from held
                    held.clear()
        if not number:
            raise DataError("has a header and no rows", file=path, code="too-few-samples")
        seen.check(path, self.columns)
        yield from held

    def encoded(
        self, columns: Sequence[RawColumn], problems: list[str], seen: Recognized | None = None
    ) -> NDArray[np.float32]:
        """The columns of N rows -> (G, F); adds to `problems` (N) why a row cannot be used."""
        blocks = []
        for fit, column in zip(self.columns, columns, strict=True):
            if isinstance(fit, NumberColumn):
                ready: NDArray[Any] = _numbers(fit.name, column, problems)
            else:
                ready = self._categories(fit, column, problems, seen or Recognized())
            block = fit.encode(ready)
            for place in np.flatnonzero((np.abs(block) > _FARTHEST).any(axis=1)):
                problems[place] = problems[place] or f"column {fit.name!r}: lies too far from the training rows"
            blocks.append(block)
        good = np.array([not problem for problem in problems], dtype=bool)
        features: NDArray[np.float32] = np.concatenate(blocks, axis=1)[good].astype(np.float32)
        return features

    def notes(self) -> list[str]:
        """What a person should know of the rows that were read."""
        found = []
        for name, counts in self.unknown.items():
            named = ", ".join(repr(text) for text, _ in counts.most_common(_NAMED))
            more = ", ..." if len(counts) > _NAMED else ""
            found.append(
                f"column {name!r} held categories that training never had, {counts.total():,} times ({named}{more}): "
                "they count as none"
            )
        return found

    def _categories(
        self, fit: CategoryColumn, column: RawColumn, problems: list[str], seen: Recognized
    ) -> NDArray[Any]:
        """(N,) str objects, None for no category. A number where no category is one is a problem."""
        known = {identity(text): text for text in fit.categories}
        has_numbers = any(number_in(text) is not None for text in known)
        codes, texts = column.present.codes, column.present.distinct
        found = [known.get(identity(text)) for text in texts]
        for code in np.unique(codes[codes >= 0]).tolist():
            text, places = texts[code], np.flatnonzero(codes == code).tolist()
            usable = sum(not problems[place] for place in places)
            if found[code] is not None:
                seen.known[fit.name] += usable
            elif not has_numbers and number_in(text) is not None:
                named = ", ".join(fit.categories[:_NAMED])
                for place in places:
                    problems[place] = problems[place] or (
                        f"column {fit.name!r}: {text} is a number, and training had the categories {named}"
                    )
            elif usable:
                self.unknown.setdefault(fit.name, Counter())[text] += usable
                seen.unknown.setdefault(fit.name, Counter())[text] += usable
        return np.array([*found, None], dtype=object)[codes]

    def _places(self, path: str, header: list[str]) -> list[int]:
        """Where each column of training stands. Raises DataError with everything that is wrong with the header."""
        wanted = [fit.name for fit in self.columns]
        counts = Counter(header)
        lacking = [name for name in wanted if name not in counts]
        known = {*wanted, *self.unread, *filter(is_index_name, header), *(name for name in header[:1] if not name)}
        strange = [] if self.lenient else [name for name in counts if name not in known]
        doubled = [name for name in wanted if counts[name] > 1]
        told = [f"column {name!r} is missing{_near(name, strange or header)}" for name in lacking[:_LISTED]]
        told += [f"column {name!r} was not in training{_near(name, lacking)}" for name in strange[:_LISTED]]
        told += [f"column {name!r} is there more than once" for name in doubled[:_LISTED]]
        if told:
            remedy = f"training had {_listed(wanted)}"
            if len(header) == 1 and any(letter in header[0] for letter in ",;|\t"):
                remedy = f"{header[0]!r} is the only column; is the separator another one? --separator ';'"
            elif strange and not lacking:
                remedy = "--ignore-extra passes over columns that training did not have"
            raise DataError("; ".join(told), file=path, remedy=remedy, code="incompatible-data")
        place_of = {name: place for place, name in enumerate(header)}
        return [place_of[name] for name in wanted]


@dataclass(frozen=True)
class Recognized:
    """The cells of categorical columns of one file.

    known    column -> how many were categories of training
    unknown  column -> how often each other text came
    """

    known: Counter[str] = field(default_factory=Counter)
    unknown: dict[str, Counter[str]] = field(default_factory=dict)

    def strange(self) -> list[str]:
        """Columns with cells, none of which was a category of training."""
        return [name for name, counts in self.unknown.items() if counts.total() and not self.known[name]]

    def check(self, path: str, columns: Sequence[NumberColumn | CategoryColumn]) -> None:
        """Raise DataError for a column of two cells or more, none of which was a category of training."""
        for fit in columns:
            if isinstance(fit, CategoryColumn) and fit.categories and fit.name in self.strange():
                counts = self.unknown[fit.name]
                if counts.total() > 1:
                    here = ", ".join(repr(text) for text, _ in counts.most_common(_NAMED))
                    there = ", ".join(map(repr, fit.categories[:_NAMED]))
                    rule = f"no cell is a category of training: they hold {here}, and training had {there}"
                    remedy = "write them as in training, or leave the cells empty where the category is another one"
                    raise DataError(rule, file=path, column=fit.name, remedy=remedy, code="incompatible-data")


def _numbers(name: str, column: RawColumn, problems: list[str]) -> NDArray[np.float64]:
    """(N,) float64, NaN for a missing number and for what is a problem."""
    numbers, bad = column.numbers
    wrong = bad | (np.abs(numbers) > LARGEST)
    for place in np.flatnonzero(wrong).tolist():
        cell = column.cell(place)
        what = f"is no finite number{special_in(cell)}" if bad[place] else "is too large"
        problems[place] = problems[place] or f"column {name!r}: {cell!r} {what}"
    return np.where(wrong, np.nan, numbers)


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names):,} in all)" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _near(name: str, names: Sequence[str]) -> str:
    found = get_close_matches(name, names, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
