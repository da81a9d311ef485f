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

from dlexp.data.asked import Items
from dlexp.data.asked_rows import Row, opened
from dlexp.data.cells import number_in
from dlexp.data.csv import text_in
from dlexp.data.index_columns import is_index_name
from dlexp.data.tables import CategoryColumn, NumberColumn, columns_of
from dlexp.errors import DataError

MISSING = ("NA", "N/A", "NaN", "nan", "null", "?")  # as in conf/data/csv.yaml
_LARGEST = float(np.finfo(np.float32).max)
_NAMED = 5  # categories that a note names


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
            raise DataError(
                "this run was not trained on a table with named columns", remedy="give it a .npy or .npz file"
            )
        unread = {*preprocessing.get("unread", ()), str(arguments.get("target", "target"))}
        empty = frozenset(["", *arguments.get("missing_values", MISSING)])
        return cls(columns, frozenset(unread), empty, str(arguments.get("separator", ",")), lenient)

    def check(self, path: str) -> None:
        """Raise DataError for a file that cannot be read at all, or whose columns are not those of training."""
        with opened(path, self.separator) as table:
            self._places(path, table.header)

    def read(self, path: str) -> Iterator[Items]:
        """The rows of a file, or of standard input for `-`; one that cannot be used is an item with a problem.

        Raises DataError for a file that cannot be read at all, or whose columns are not those of training.
        """
        number = 0
        with opened(path, self.separator) as table:
            for cells, places in table.rows(self._places(path, table.header)):
                inputs, problems = self.encoded(cells)
                told = zip(places, problems, strict=True)
                names: dict[str, list[Any]] = {"input": [path] * len(cells)}
                names["row"] = list(range(number, number + len(cells)))
                number += len(cells)
                found = [f"{table.place} {place}, {problem}" if problem else "" for place, problem in told]
                yield Items(names, found, torch.from_numpy(inputs))
        if not number:
            raise DataError("has a header and no rows", file=path)

    def encoded(self, rows: Sequence[Row]) -> tuple[NDArray[np.float32], list[str]]:
        """N rows -> ((G, F), N problems)."""
        problems = [row if isinstance(row, str) else "" for row in rows]
        blank = [None] * len(self.columns)
        whole = [blank if isinstance(row, str) else [self._cell(cell) for cell in row] for row in rows]
        cells = list(zip(*whole, strict=True)) or [()] * len(blank)
        blocks = []
        for fit, column in zip(self.columns, cells, strict=True):
            is_number = isinstance(fit, NumberColumn)
            ready = _numbers(fit.name, column, problems) if is_number else self._categories(fit, column, problems)
            block = fit.encode(ready)
            for place in np.flatnonzero((np.abs(block) > _LARGEST).any(axis=1)):
                problems[place] = problems[place] or f"column {fit.name!r}: lies too far from the training rows"
            blocks.append(block)
        good = np.array([not problem for problem in problems], dtype=bool)
        return np.concatenate(blocks, axis=1)[good].astype(np.float32), problems

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

    def _cell(self, cell: Any) -> Any:
        """Text without the blanks around it, or a number; None for a missing cell."""
        if isinstance(cell, str):
            return text_in(cell, set(self.empty))
        return None if cell is None or cell != cell else cell

    def _categories(self, fit: Any, column: Sequence[Any], problems: list[str]) -> NDArray[Any]:
        """(N,) str objects, None for no category. A number where no category is one is a problem."""
        texts = [None if cell is None else str(cell) for cell in column]
        known = set(fit.categories)
        has_numbers = any(number_in(text) is not None for text in known)
        for place, text in enumerate(texts):
            if text is None or text in known:
                continue
            if not has_numbers and number_in(text) is not None:
                named = ", ".join(fit.categories[:_NAMED])
                problems[place] = problems[place] or (
                    f"column {fit.name!r}: {text} is a number, and training had the categories {named}"
                )
            elif not problems[place]:
                self.unknown.setdefault(fit.name, Counter())[text] += 1
        return np.array(texts, dtype=object)

    def _places(self, path: str, header: list[str]) -> list[int]:
        """Where each column of training stands. Raises DataError with everything that is wrong with the header."""
        wanted = [fit.name for fit in self.columns]
        lacking = [name for name in wanted if name not in header]
        known = {*wanted, *self.unread, *filter(is_index_name, header), *(name for name in header[:1] if not name)}
        strange = [] if self.lenient else [name for name in dict.fromkeys(header) if name not in known]
        doubled = [name for name in wanted if header.count(name) > 1]
        told = [f"column {name!r} is missing{_near(name, strange or header)}" for name in lacking]
        told += [f"column {name!r} was not in training{_near(name, lacking)}" for name in strange]
        told += [f"column {name!r} is there more than once" for name in doubled]
        if told:
            remedy = f"training had {', '.join(wanted)}"
            if len(header) == 1 and any(letter in header[0] for letter in ",;|\t"):
                remedy = f"{header[0]!r} is the only column; is the separator another one? --separator ';'"
            elif strange and not lacking:
                remedy = "--ignore-extra passes over columns that training did not have"
            raise DataError("; ".join(told), file=path, remedy=remedy)
        return [header.index(name) for name in wanted]


def _numbers(name: str, column: Sequence[Any], problems: list[str]) -> NDArray[np.float64]:
    """(N,) float64, NaN for a missing number and for what is a problem."""
    found = np.full(len(column), np.nan)
    for place, cell in enumerate(column):
        if cell is None:
            continue
        value = number_in(cell) if isinstance(cell, str) else _typed(cell)
        if value is None or abs(value) > _LARGEST:
            what = "is no finite number" if value is None else "is too large"
            problems[place] = problems[place] or f"column {name!r}: {str(cell)!r} {what}"
        else:
            found[place] = value
    return found


def _typed(cell: Any) -> float | None:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None


def _near(name: str, names: Sequence[str]) -> str:
    found = get_close_matches(name, names, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
