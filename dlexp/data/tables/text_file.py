"""A table in a text file, such as CSV: its header, its columns, and the line of each row.

A file is read by pandas, which sees at once which columns are numbers, and the texts of a column are read again only
where they are needed; a file of very many columns is read line by line, where pandas takes longer for each column than
for its cells. Both give the same cells.

Symbols: N rows.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

from dlexp.data.paths import check_file
from dlexp.data.tables.raw_column import RawColumn, Spelled, filled_rows, spell, spell_coded
from dlexp.data.tables.spelling import MISSING, Marks
from dlexp.errors import DataError

_WIDE = 2000  # columns from which on a file is read line by line
_PIECE = 1 << 20  # bytes that are looked at at a time


@dataclass(frozen=True)
class TextFile:
    """A text file with a header and cells between separators, in UTF-8.

    marks  texts that mean "no value"
    """

    path: Path
    separator: str
    marks: Marks

    @cached_property
    def header(self) -> list[str]:
        """The names of the columns. Raises DataError for a file that is no table."""
        check_file(self.path)
        if len(self.separator) != 1 or self.separator in '"\r\n':
            rule = f"data.separator must be one character between two cells, got {self.separator!r}"
            raise DataError(rule, file=self.path, remedy="set data.separator, such as ';'", code="invalid-value")
        with self._refusals(), self._rows() as rows:
            first, second = next(rows, None), next(rows, None)
        if first is None:
            raise DataError("is empty", file=self.path, code="too-few-samples")
        names = [name.strip() for name in first or [""]]
        doubled = sorted(name for name, count in Counter(names).items() if count > 1)
        if doubled:
            raise DataError(f"the header names {', '.join(map(repr, doubled))} more than once", file=self.path, row=1)
        if len(names) == 1:
            remedy = "is the separator another one? set data.separator, such as ';'"
            raise DataError(f"has a single column, {names[0]!r}", file=self.path, row=1, remedy=remedy)
        if second is not None and len(second) > len(names):
            rule = f"is no table: Expected {len(names)} fields in line 2, saw {len(second)}"
            raise DataError(rule, file=self.path, remedy="check the quotes and data.separator")
        return names

    def read(self, wanted: Sequence[str]) -> tuple[dict[str, RawColumn], NDArray[np.int64]]:
        """(the columns `wanted` by name; (N,) the line of each row). Rows without any cell are left out.

        Raises DataError for a file that is no table.
        """
        place_of = {name: place for place, name in enumerate(self.header)}
        places = [place_of[name] for name in wanted]
        with self._refusals():
            columns = self._by_lines(places) if len(self.header) > _WIDE else self._by_pandas(places)
            count = columns[0].size
            filled = filled_rows(columns) if count else np.zeros(0, dtype=np.bool_)
            if not filled.any():
                raise DataError("has a header and no rows", file=self.path, code="too-few-samples")
            lines = self._lines(count)
        if not filled.all():
            rows = np.flatnonzero(filled)
            columns, lines = [column.chosen(rows) for column in columns], lines[rows]
        return dict(zip(wanted, columns, strict=True)), lines

    def column(self, name: str) -> RawColumn:
        """One column, of all rows. Raises DataError for a file that is no table."""
        place = self.header.index(name)
        with self._refusals():
            if len(self.header) <= _WIDE:
                return self._by_pandas([place], is_part=True)[0]
            return self._column(place, None, self._cells(place))

    def line_of(self, row: int, count: int) -> int:
        """The line of one of all `count` rows."""
        return int(self._lines(count)[row])

    def _by_pandas(self, places: Sequence[int], is_part: bool = False) -> list[RawColumn]:
        # Words that only mean "no value" leave a column one of numbers; those beyond the defaults are counted.
        empty = ["", *(word for word in self.marks.words if word in MISSING)]
        # Lines are held to the header where whole lines are read alone.
        table = self._frame(list(places) if is_part else None, keep_default_na=False, na_values=empty)
        numbers = {place: _numbers(table[place].to_numpy()) for place in places if table[place].dtype.kind in "iuf"}
        numbers = {place: values for place, values in numbers.items() if values is not None}
        del table
        texts = [place for place in places if place not in numbers]
        spelled = self._texts(texts) if texts else {}
        return [self._column(place, numbers.get(place), spelled.get(place)) for place in places]

    def _column(self, place: int, values: NDArray[np.generic] | None, spelled: Spelled | None) -> RawColumn:
        def read() -> Spelled:
            if spelled is not None:
                return spelled
            with self._refusals():
                return self._cells(place)

        return RawColumn(read, self.marks, values)

    def _cells(self, place: int) -> Spelled:
        """The texts of one column, read again."""
        if len(self.header) <= _WIDE:
            return self._texts([place])[place]
        with self._rows() as rows:
            next(rows)
            return spell(row[place] if place < len(row) else "" for row in rows)

    def _texts(self, places: Sequence[int]) -> dict[int, Spelled]:
        """The texts of some columns, read again."""
        import pandas as pd

        table = self._frame(list(places), dtype=object, na_filter=False)
        found = {}
        for place in places:
            codes, cells = pd.factorize(table.pop(place).to_numpy())
            found[place] = spell_coded(codes.astype(np.int64), cells.tolist())
        return found

    def _frame(self, columns: list[int] | None, **how: Any) -> Any:
        import pandas as pd

        if not _rounds_exactly(pd.__version__):
            how["float_precision"] = "round_trip"
        read: Any = pd.read_csv
        with catch_warnings():
            # A column is read in parts; one of numbers and texts, whose parts differ in type, is read again as texts.
            simplefilter("ignore", pd.errors.DtypeWarning)
            return read(
                self.path, sep=self.separator, header=None, skiprows=1, names=range(len(self.header)), usecols=columns,
                skip_blank_lines=False, encoding="utf-8-sig", engine="c", **how,
            )  # fmt: skip

    def _by_lines(self, places: Sequence[int]) -> list[RawColumn]:
        width = len(self.header)
        with self._rows() as rows:
            next(rows)
            whole = []
            for row in rows:
                if len(row) > width:
                    rule = f"is no table: Expected {width} fields in line {rows.line_num}, saw {len(row)}"
                    raise DataError(rule, file=self.path, remedy="check the quotes and data.separator")
                whole.append(row + [""] * (width - len(row)))
        cells = list(zip(*whole, strict=True)) or [()] * width
        found = []
        for place in places:
            values = _floats(cells[place])
            if values is None:
                found.append(RawColumn.of_texts(cells[place], self.marks))
            else:
                found.append(self._column(place, values, None))
        return found

    @contextmanager
    def _rows(self) -> Iterator[Any]:
        """A reader of the rows, the header first."""
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            yield csv.reader(file, delimiter=self.separator)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Turn what pandas and Python raise for a file that is no table into a DataError."""
        import pandas as pd

        try:
            yield
        except UnicodeDecodeError as error:
            raise DataError(f"is not UTF-8 text ({error.reason} at byte {error.start})", file=self.path) from error
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", file=self.path, code="system-error") from error
        except (pd.errors.ParserError, csv.Error, ValueError) as error:
            reason = str(error).replace("Error tokenizing data. C error: ", "").strip()
            remedy = "check the quotes and data.separator"
            raise DataError(f"is no table: {reason}", file=self.path, remedy=remedy) from error

    def _lines(self, count: int) -> NDArray[np.int64]:
        """(N,) the line of each row. A cell in quotes may span several lines, so that rows are then counted."""
        if not _has_quotes(self.path) or _breaks(self.path) == count + 1:
            return np.arange(2, count + 2, dtype=np.int64)
        lines = []
        with self._rows() as rows:
            next(rows)
            before = rows.line_num
            for _ in rows:
                lines.append(before + 1)
                before = rows.line_num
        return np.array((lines + [before + 1] * count)[:count], dtype=np.int64)


def _breaks(path: Path) -> int:
    """Lines of a file, those inside of quotes too."""
    found, last = 0, b"\n"
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            newlines, returns = piece.count(b"\n"), piece.count(b"\r")
            found += newlines + returns - (piece.count(b"\r\n") if returns else 0)
            found -= last == b"\r" and piece[:1] == b"\n"
            last = piece[-1:]
    return found + (last not in b"\r\n")


def _has_quotes(path: Path) -> bool:
    with path.open("rb") as file:
        return any(b'"' in piece for piece in iter(lambda: file.read(_PIECE), b""))


def _numbers(values: NDArray[Any]) -> NDArray[np.generic] | None:
    """The column as pandas read it; None where a cell is no finite number, which its text has to tell."""
    return None if values.dtype.kind == "f" and np.isinf(values).any() else values


def _floats(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """The numbers in all cells; None where one is empty, no finite number, or one to Python alone."""
    try:
        values = np.array([float(cell) for cell in cells])
    except ValueError:
        return None
    return None if not np.isfinite(values).all() or any("_" in cell for cell in cells) else values


def _rounds_exactly(version: str) -> bool:
    """Whether this version of pandas reads the float64 nearest to a text without being asked to."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return (major, minor) >= (3, 1)
