"""Prediction inputs from tables, encoded as in training; invalid rows are reported one by one.

As in training, a missing number becomes the median of the training rows, and a missing or unknown category is encoded
as zeros; an unknown one in a column with a feature of rare categories is one of these.

Symbols: N rows, G usable rows, F features after encoding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.inference.items import InputItems
from dlexp.data.memory.handed_over import PLACE
from dlexp.data.tables.features.encodings import (
    AnyColumn,
    CategoryColumn,
    DateCells,
    DateColumn,
    HashColumn,
    NumberColumn,
    encoded_columns,
)
from dlexp.data.tables.features.new_rows import moments_of, numbers_of
from dlexp.data.tables.features.target_columns import names_of
from dlexp.data.tables.files.json_lines import KnownKeys
from dlexp.data.tables.files.pieces import OpenTable
from dlexp.data.tables.files.reading import open_table
from dlexp.data.tables.files.table_form import AUTO, FRAME_FORM, FormSettings, TableForm
from dlexp.data.tables.index_columns import is_index_name
from dlexp.data.tables.number_columns import read_with_unit, styles_of_rows
from dlexp.data.tables.numerals import NumberStyle
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import MISSING, Marks, cell_identity, is_sign, number_in
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.text.quoting import shell_word

if TYPE_CHECKING:
    import pandas as pd

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
    ignored    column -> number of cells of another kind, which are missing ones as in training; updated likewise
    """

    columns: tuple[AnyColumn, ...]
    unread: frozenset[str]
    empty: frozenset[str]
    trained: TableForm
    settings: FormSettings = field(default_factory=FormSettings)
    lenient: bool = False
    unknown: dict[str, Counter[str]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)

    @property
    def rest(self) -> set[str]:
        """The columns with a feature of all rare categories."""
        return {fit.name for fit in self.columns if isinstance(fit, CategoryColumn) and fit.rest}

    @classmethod
    def of(cls, preprocessing: Mapping[str, Any], arguments: Mapping[str, Any], lenient: bool) -> TableInput:
        """The encoding that a run records, with `arguments` of the data source. Raises DataError without columns."""
        columns = encoded_columns(preprocessing)
        if not columns:
            rule, remedy = "this run was not trained on a table with named columns", "Use a .npy or .npz file."
            raise DataError(rule, remedy=remedy, code="incompatible-data")
        unread = {*preprocessing.get("unread", ()), *names_of(arguments.get("target", "target"))}
        empty = frozenset(["", *arguments.get("missing_values", MISSING)])
        trained = TableForm.from_plain(preprocessing.get("form", {}))
        # An encoding that had to be set for training cannot be detected either.
        settings = FormSettings(encoding=str(arguments.get("encoding", AUTO)))
        return cls(columns, frozenset(unread), empty, trained, settings, lenient)

    @property
    def _known(self) -> KnownKeys:
        """The keys of JSON objects that this input knows."""
        return KnownKeys({*(fit.name for fit in self.columns), *self.unread}, self.lenient)

    def check(self, path: str) -> None:
        """Raise DataError for a file that cannot be read, or whose columns differ from training."""
        with open_table(path, self.settings, Marks(self.empty), self.trained, self._known) as (table, _):
            self._places(path, table.header)

    def read(self, path: str) -> Iterator[InputItems]:
        """The rows of a file, or of standard input for `-`; an unusable row is an item with a problem.

        Raises DataError for a file that cannot be read, for columns that differ from training, and for a column of two
        or more cells none of which is a category of training: another column, or another spelling. For that check at
        most 65,536 rows are held back until the first known category.
        """
        with open_table(path, self.settings, Marks(self.empty), self.trained, self._known) as (table, form):
            yield from self._read(path, table, form)

    def read_frame(self, frame: pd.DataFrame) -> Iterator[InputItems]:
        """The rows of a DataFrame, as those of a file; see `read`."""
        from dlexp.data.memory.frame_columns import open_frame  # pandas, which other inputs do not need

        yield from self._read(str(PLACE), open_frame(frame, Marks(self.empty)), FRAME_FORM)

    def _read(self, path: str, table: OpenTable, form: TableForm) -> Iterator[InputItems]:
        number, pending, recognized = 0, list[InputItems](), Recognized()
        styles: list[NumberStyle] | None = None
        for piece in table.rows(self._places(path, table.header)):
            problems = list(piece.problems)
            if styles is None:
                styles = self._styles(piece.columns, form)
            inputs = self.encoded(self._styled(piece.columns, styles), problems, recognized)
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
            ready: NDArray[Any] | DateCells
            if isinstance(fit, NumberColumn):
                has_percent = self.trained.styles.get(fit.name, NumberStyle()).percent
                ready = numbers_of(fit, column, problems, self.ignored, has_percent)
            elif isinstance(fit, DateColumn):
                ready = moments_of(fit, column, problems, self.ignored)
            elif isinstance(fit, HashColumn):
                ready = column.texts()
            else:
                ready = self._categories(fit, column, problems, recognized or Recognized())
            block = fit.encode(ready)
            for place in np.flatnonzero((np.abs(block) > _FARTHEST).any(axis=1)):
                problems[place] = problems[place] or f"column {fit.name!r}: too far from the training rows"
            blocks.append(block)
        good = np.array([not problem for problem in problems], dtype=bool)
        features = np.empty((int(good.sum()), sum(block.shape[1] for block in blocks)), dtype=np.float32)
        return np.concatenate([block[good] for block in blocks], axis=1, out=features, casting="same_kind")

    def _styles(self, columns: Sequence[RawColumn], form: TableForm) -> list[NumberStyle]:
        """The spelling of numbers in each column of a file, by its first rows."""
        is_same = (form.format, form.separator) == (self.trained.format, self.trained.separator)
        names = [fit.name for fit in self.columns]
        # Cells of Parquet, JSON, workbooks and DataFrames have no decimal mark, unless they are texts of another file.
        decimal = form.decimal if form.format == "csv" else ""
        return styles_of_rows(names, columns, self.trained.styles, decimal, is_same)

    def _styled(self, columns: Sequence[RawColumn], styles: Sequence[NumberStyle]) -> list[RawColumn]:
        found = []
        for fit, column, style in zip(self.columns, columns, styles, strict=True):
            is_number = isinstance(fit, NumberColumn) or fit.name in self.trained.styles
            is_kept = column.has_values or not is_number or style.is_plain
            found.append(column if is_kept else column.styled(partial(read_with_unit, style)))
        return found

    def notes(self) -> list[str]:
        """Messages to the user about the rows that were read."""
        found = []
        for name, counts in self.unknown.items():
            named = ", ".join(repr(text) for text, _ in counts.most_common(_NAMED))
            more = ", ..." if len(counts) > _NAMED else ""
            found.append(
                f"column {name!r}: {counts.total():,} times a category that training did not have ({named}{more}), "
                f"{'encoded as the rare ones' if name in self.rest else 'encoded as zeros'}"
            )
        for name, count in self.ignored.items():
            if count:
                found.append(
                    f"column {name!r}: {counted(count, 'cell')} of another kind, read as missing, as in training"
                )
        return found

    def _categories(
        self, fit: CategoryColumn, column: RawColumn, problems: list[str], recognized: Recognized
    ) -> NDArray[Any]:
        """(N,) str objects, None for no category. A number in a column of words is a problem."""
        known = {cell_identity(text): text for text in fit.categories}
        has_numbers = fit.rest or any(number_in(text) is not None for text in known)
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
        if fit.rest:
            found = [text if place is None else place for place, text in zip(found, texts, strict=True)]
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

    def check(self, path: str, columns: Sequence[AnyColumn]) -> None:
        """Raise DataError for a column of two or more cells without any category of training."""
        for fit in columns:
            is_complete = isinstance(fit, CategoryColumn) and fit.categories and not fit.rest
            if isinstance(fit, CategoryColumn) and is_complete and fit.name in self.unrecognized():
                counts = self.unknown[fit.name]
                if counts.total() > 1:
                    here = ", ".join(repr(text) for text, _ in counts.most_common(_NAMED))
                    there = ", ".join(map(repr, fit.categories[:_NAMED]))
                    rule = f"no category of training found: the cells are {here}, the categories {there}"
                    remedy = "Spell them as in training, or leave the cells of other categories empty."
                    raise DataError(rule, file=path, column=fit.name, remedy=remedy, code="incompatible-data")


def _is_unnamed(name: str) -> bool:
    """Return whether a column is an index of pandas, or has a name because it has none in the file."""
    return is_index_name(name) or name.startswith("Unnamed: ")


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names):,} in all)" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _similar(name: str, names: Sequence[str]) -> str:
    found = get_close_matches(name, names, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
