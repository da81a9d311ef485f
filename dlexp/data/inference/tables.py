"""Prediction inputs from tables, encoded as in training; invalid rows are reported one by one.

As in training, a missing number becomes the median of the training rows, and a missing or unknown category is encoded
as zeros.

Symbols: N rows, G usable rows, F features after encoding.
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

from dlexp.data.inference.items import InputItems
from dlexp.data.tables.encoding import CategoryColumn, NumberColumn, encoded_columns
from dlexp.data.tables.files.reading import open_table
from dlexp.data.tables.files.table_form import AUTO, FormSettings, TableForm
from dlexp.data.tables.index_columns import is_index_name
from dlexp.data.tables.mixed_column import special_in
from dlexp.data.tables.number_columns import styles_of_rows
from dlexp.data.tables.numerals import NumberStyle
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import MISSING, Marks, cell_identity, is_sign, number_in
from dlexp.errors import DataError
from dlexp.runtime.rounding import LARGEST
from dlexp.text.quoting import shell_word

_FARTHEST = float(np.finfo(np.float32).max)  # largest standardized number
_NAMED = 5  # categories shown in a note
_LISTED = 30  # columns listed in an error
_PENDING = 16  # pieces held back until the first known category


@dataclass(frozen=True)
class TableInput:
    """The encoding of rows as inputs of a network.

    columns    the columns that are read, in the order of the features
    unread     further columns that a file may have: the target, and columns that training did not use
    empty      cells that mean "no value"
    trained    the form of the training file: a file of the same form is read the same way, another form is detected
    settings   what the user sets of the form
    lenient    ignore columns that training did not have
    unknown    column -> counts of categories that training did not have; updated while rows are read
    """

    columns: tuple[NumberColumn | CategoryColumn, ...]
    unread: frozenset[str]
    empty: frozenset[str]
    trained: TableForm
    settings: FormSettings = field(default_factory=FormSettings)
    lenient: bool = False
    unknown: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, preprocessing: Mapping[str, Any], arguments: Mapping[str, Any], lenient: bool) -> TableInput:
        """The encoding that a run records, with `arguments` of the data source. Raises DataError without columns."""
        columns = encoded_columns(preprocessing)
        if not columns:
            rule, remedy = "this run was not trained on a table with named columns", "Use a .npy or .npz file."
            raise DataError(rule, remedy=remedy, code="incompatible-data")
        unread = {*preprocessing.get("unread", ()), str(arguments.get("target", "target"))}
        empty = frozenset(["", *arguments.get("missing_values", MISSING)])
        trained = TableForm.from_plain(preprocessing.get("form", {}))
        # An encoding that had to be set for training cannot be detected either.
        settings = FormSettings(encoding=str(arguments.get("encoding", AUTO)))
        return cls(columns, frozenset(unread), empty, trained, settings, lenient)

    def check(self, path: str) -> None:
        """Raise DataError for a file that cannot be read, or whose columns differ from training."""
        with open_table(path, self.settings, Marks(self.empty), self.trained) as (table, _):
            self._places(path, table.header)

    def read(self, path: str) -> Iterator[InputItems]:
        """The rows of a file, or of standard input for `-`; an unusable row is an item with a problem.

        Raises DataError for a file that cannot be read, for columns that differ from training, and for a column of two
        or more cells none of which is a category of training: another column, or another spelling. For that check at
        most 65,536 rows are held back until the first known category.
        """
        number, pending, recognized = 0, list[InputItems](), Recognized()
        styles: list[NumberStyle] | None = None
        with open_table(path, self.settings, Marks(self.empty), self.trained) as (table, form):
            for piece in table.rows(self._places(path, table.header)):
                problems = list(piece.problems)
                if styles is None:
                    styles = self._styles(piece.columns, form)
                columns = self._styled(piece.columns, styles)
                inputs = self.encoded(columns, problems, recognized)
                rows = zip(piece.places, problems, strict=True)
                names: dict[str, list[Any]] = {"input": [path] * len(problems)}
                names["row"] = list(range(number, number + len(problems)))
                number += len(problems)
                found = [f"{table.place} {place}, {problem}" if problem else "" for place, problem in rows]
                pending.append(InputItems(names, found, torch.from_numpy(inputs)))
                if len(pending) > _PENDING or not recognized.unrecognized():
                    yield from pending
                    pending.clear()
        if not number:
            raise DataError("has no rows", file=path, code="too-few-samples")
        recognized.check(path, self.columns)
        yield from pending

    def encoded(
        self, columns: Sequence[RawColumn], problems: list[str], recognized: Recognized | None = None
    ) -> NDArray[np.float32]:
        """The columns of N rows -> (G, F); adds the reasons for unusable rows to `problems` (N)."""
        blocks = []
        for fit, column in zip(self.columns, columns, strict=True):
            if isinstance(fit, NumberColumn):
                style = self.trained.styles.get(fit.name, NumberStyle())
                ready: NDArray[Any] = _numbers(fit.name, column, problems, style.percent)
            else:
                ready = self._categories(fit, column, problems, recognized or Recognized())
            block = fit.encode(ready)
            for place in np.flatnonzero((np.abs(block) > _FARTHEST).any(axis=1)):
                problems[place] = problems[place] or f"column {fit.name!r}: too far from the training rows"
            blocks.append(block)
        good = np.array([not problem for problem in problems], dtype=bool)
        features: NDArray[np.float32] = np.concatenate(blocks, axis=1)[good].astype(np.float32)
        return features

    def _styles(self, columns: Sequence[RawColumn], form: TableForm) -> list[NumberStyle]:
        """The spelling of numbers in each column of a file, by its first rows."""
        is_same = (form.format, form.separator) == (self.trained.format, self.trained.separator)
        names = [fit.name for fit in self.columns]
        return styles_of_rows(names, columns, self.trained.styles, form.decimal, is_same)

    def _styled(self, columns: Sequence[RawColumn], styles: Sequence[NumberStyle]) -> list[RawColumn]:
        found = []
        for fit, column, style in zip(self.columns, columns, styles, strict=True):
            is_number = isinstance(fit, NumberColumn) or fit.name in self.trained.styles
            found.append(column if column.has_values or not is_number or style.is_plain else column.styled(style.read))
        return found

    def notes(self) -> list[str]:
        """Messages to the user about the rows that were read."""
        found = []
        for name, counts in self.unknown.items():
            named = ", ".join(repr(text) for text, _ in counts.most_common(_NAMED))
            more = ", ..." if len(counts) > _NAMED else ""
            found.append(
                f"column {name!r}: {counts.total():,} times a category that training did not have ({named}{more}), "
                "encoded as zeros"
            )
        return found

    def _categories(
        self, fit: CategoryColumn, column: RawColumn, problems: list[str], recognized: Recognized
    ) -> NDArray[Any]:
        """(N,) str objects, None for no category. A number in a column of words is a problem."""
        known = {cell_identity(text): text for text in fit.categories}
        has_numbers = any(number_in(text) is not None for text in known)
        present = (column.with_signs() if any(map(is_sign, known)) else column).present
        codes, texts = present.codes, present.distinct
        found = [known.get(cell_identity(text)) for text in texts]
        for code in np.unique(codes[codes >= 0]).tolist():
            text, places = texts[code], np.flatnonzero(codes == code).tolist()
            usable = sum(not problems[place] for place in places)
            if found[code] is not None:
                recognized.known[fit.name] += usable
            elif not has_numbers and number_in(text) is not None:
                named = ", ".join(fit.categories[:_NAMED])
                for place in places:
                    problems[place] = problems[place] or (
                        f"column {fit.name!r}: {text} is a number; the categories of training are {named}"
                    )
            elif usable:
                self.unknown.setdefault(fit.name, Counter())[text] += usable
                recognized.unknown.setdefault(fit.name, Counter())[text] += usable
        return np.array([*found, None], dtype=object)[codes]

    def _places(self, path: str, header: list[str]) -> list[int]:
        """The position of each column of training. Raises DataError with all problems of the header."""
        wanted = [fit.name for fit in self.columns]
        counts = Counter(header)
        missing = [name for name in wanted if name not in counts]
        known = {*wanted, *self.unread, *filter(_is_unnamed, header), *(name for name in header[:1] if not name)}
        extra = [] if self.lenient else [name for name in counts if name not in known]
        repeated = [name for name in wanted if counts[name] > 1]
        parts = {
            "missing": [f"{name!r}{_similar(name, extra or header)}" for name in missing],
            "unknown": list(map(repr, extra)),
            "more than once": list(map(repr, repeated)),
        }
        problems = [f"{what}: {_listed(names)}" for what, names in parts.items() if names]
        if problems:
            remedy = f"The columns of training are {_listed(wanted)}."
            separators = sorted(filter(header[0].count, ",;|\t"), key=header[0].count) if len(header) == 1 else []
            if separators:
                remedy = f"Set the separator of the file: --separator {shell_word(separators[-1])}"
            elif extra and not missing:
                remedy = "Ignore columns that training did not have: --ignore-extra"
            rule = f"the columns differ from those of training; {'; '.join(problems)}"
            raise DataError(rule, file=path, remedy=remedy, code="incompatible-data")
        place_of = {name: place for place, name in enumerate(header)}
        return [place_of[name] for name in wanted]


@dataclass(frozen=True)
class Recognized:
    """Counts of the cells in categorical columns of one file.

    known    column -> number of cells with a category of training
    unknown  column -> counts of the other texts
    """

    known: Counter[str] = field(default_factory=Counter)
    unknown: dict[str, Counter[str]] = field(default_factory=dict)

    def unrecognized(self) -> list[str]:
        """Columns with cells, but without any category of training."""
        return [name for name, counts in self.unknown.items() if counts.total() and not self.known[name]]

    def check(self, path: str, columns: Sequence[NumberColumn | CategoryColumn]) -> None:
        """Raise DataError for a column of two or more cells without any category of training."""
        for fit in columns:
            if isinstance(fit, CategoryColumn) and fit.categories and fit.name in self.unrecognized():
                counts = self.unknown[fit.name]
                if counts.total() > 1:
                    here = ", ".join(repr(text) for text, _ in counts.most_common(_NAMED))
                    there = ", ".join(map(repr, fit.categories[:_NAMED]))
                    rule = f"no category of training found: the cells are {here}, the categories {there}"
                    remedy = "Spell them as in training, or leave the cells of other categories empty."
                    raise DataError(rule, file=path, column=fit.name, remedy=remedy, code="incompatible-data")


def _numbers(name: str, column: RawColumn, problems: list[str], percent: bool) -> NDArray[np.float64]:
    """(N,) float64, NaN for missing and invalid numbers."""
    numbers, bad = column.numbers
    wrong = bad | (np.abs(numbers) > LARGEST)
    for place in np.flatnonzero(wrong).tolist():
        cell = column.cell(place)
        lacks = ", which lacks the percent sign of training" if percent and number_in(cell) is not None else ""
        what = f"is not a finite number{lacks or special_in(cell)}" if bad[place] else "is too large"
        problems[place] = problems[place] or f"column {name!r}: {cell!r} {what}"
    return np.where(wrong, np.nan, numbers)


def _is_unnamed(name: str) -> bool:
    """Return whether a column is an index of pandas, or has a name because it has none in the file."""
    return is_index_name(name) or name.startswith("Unnamed: ")


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names):,} in all)" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _similar(name: str, names: Sequence[str]) -> str:
    found = get_close_matches(name, names, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
