"""Reader of tables in text files, such as CSV, with the line number of each row.

Files are read by pandas, which detects numeric columns, and the texts of a column are read again only if needed. Files
with very many columns are read line by line, since pandas has a high cost per column. Both give the same cells.

Symbols: N rows.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.files.opening import opened
from dlexp.data.tables.files.pieces import header_names, repeated_names
from dlexp.data.tables.files.table_form import TableForm
from dlexp.data.tables.files.text_columns import CheckedBytes, ReadColumn
from dlexp.data.tables.files.text_form import csv_rows, decoded_text, header_of
from dlexp.data.tables.files.text_rows import too_wide
from dlexp.data.tables.raw_column import RawColumn, Spelled, filled_rows, spell, spell_coded
from dlexp.data.tables.spelling import MISSING, Marks, number_in
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.text.quoting import shell_word

_TOO_WIDE = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")  # of pandas
_WIDE = 2000  # columns above which a file is read line by line
_NAMED = 10  # lines listed in a note
_PIECE = 1 << 18  # bytes read at a time
_CELLS = 1 << 21  # cells that pandas reads at a time
_FEWEST_ROWS = 4096
_NEWLINE = ord("\n")
_OVER_ASCII = ("utf-8", "latin-1", "cp1252", "mac-roman")  # encodings whose bytes below 128 are ASCII


@dataclass(frozen=True)
class TextFile:
    """A text file with a header and separated cells.

    form   as it was detected
    marks  texts that mean "no value"
    may_be_list  whether it may have one column, as a list of values
    """

    path: Path
    form: TableForm
    marks: Marks
    may_be_list: bool = False

    @cached_property
    def header(self) -> list[str]:
        """The names of the columns. Raises DataError for an invalid table."""
        with self._refusals(), self._rows() as rows:
            first, second = next(rows, None), next(rows, None)
        if first is None:
            raise DataError("is empty", file=self.path, code="too-few-samples")
        names = header_names(header_of(first or [""], self.form))
        line = self.form.skipped + 1
        if len(set(names)) < len(names):
            raise repeated_names(self.path, names, line)
        if len(names) == 1 and self.may_be_list and number_in(names[0]) is not None:
            raise self._list_without_name(names[0], line)
        if len(names) == 1 and not self.may_be_list:
            remedy = "Set data.separator to the character between the cells, such as data.separator=semicolon"
            raise DataError(
                f"must have two or more columns, got only {names[0]!r}", file=self.path, row=line, remedy=remedy
            )
        if second is not None and len(second) > len(names) and any(cell.strip() for cell in second[len(names) :]):
            raise too_wide(self.path, line + 1, len(second), len(names), self.form.separator)
        return names

    def _list_without_name(self, first: str, line: int) -> DataError:
        """The error for a list of values of which the first would be taken as the name of the column."""
        rule = f"must be the name of the column, got the number {first!r}"
        named = shell_word(f"with_header_{self.path.name}")
        remedy = f"Add a name: (echo value; cat {shell_word(str(self.path))}) > {named}"
        return DataError(rule, file=self.path, row=line, remedy=remedy)

    def read(
        self, wanted: Sequence[str], is_part: bool = False, as_texts: Collection[str] = ()
    ) -> tuple[dict[str, RawColumn], NDArray[np.int64], list[str]]:
        """(the columns `wanted` by name; (N,) the line of each row; notes), without rows that have no value.

        is_part   do not parse the other columns, whose mistakes are then not found
        as_texts  columns whose texts are needed, which need not be read again for them
        A note names rows of nothing but marks of missing values; blank lines are no rows. Raises DataError for an
        invalid table.
        """
        place_of = {name: place for place, name in enumerate(self.header)}
        places = [place_of[name] for name in wanted]
        with self._refusals():
            columns = (
                self._by_lines(places)
                if len(self.header) > _WIDE
                else self._by_pandas(places, is_part, [place_of[name] for name in wanted if name in as_texts])
            )
            count = columns[0].size
            filled = filled_rows(columns) if count else np.zeros(0, dtype=np.bool_)
            if not filled.any():
                raise DataError("has no rows", file=self.path, code="too-few-samples")
            lines, notes = self._lines(count), list[str]()
            if len(self.header) == 1:  # a blank line of a list is a missing value, but for those at the end
                filled = np.arange(count) <= np.flatnonzero(filled)[-1]
                columns, lines = [column.select(np.flatnonzero(filled)) for column in columns], lines[filled]
            elif not filled.all():
                rows = np.flatnonzero(filled)
                notes = self._dropped(lines, ~filled, places)
                columns, lines = [column.select(rows) for column in columns], lines[rows]
        return dict(zip(wanted, columns, strict=True)), lines, notes

    def check_widths(self) -> None:
        """Raise DataError for the first row with more cells than the header, as an unquoted separator makes them."""
        width = len(self.header)
        with self._refusals(), self._rows() as rows:
            before = next(rows) and rows.line_num
            for row in rows:
                if len(row) > width and any(cell.strip() for cell in row[width:]):
                    raise too_wide(self.path, before + 1 + self.form.skipped, len(row), width, self.form.separator)
                before = rows.line_num

    def _dropped(self, lines: NDArray[np.int64], empty: NDArray[np.bool_], places: Sequence[int]) -> list[str]:
        """A note about the rows among `empty` (N,) that are not blank."""
        found = []
        with self._rows() as rows:
            next(rows)
            for line, is_empty, row in zip(lines.tolist(), empty.tolist(), rows, strict=False):
                if is_empty and any(place < len(row) and row[place].strip() for place in places):
                    found.append(line)
        if not found:
            return []
        named = ", ".join(map(str, found[:_NAMED])) + (", ..." if len(found) > _NAMED else "")
        what = (
            "has nothing but missing values and was" if len(found) == 1 else "have nothing but missing values and were"
        )
        return [f"{counted(len(found), 'row')} {what} dropped (line{'' if len(found) == 1 else 's'} {named})"]

    def _by_pandas(self, places: Sequence[int], is_part: bool, as_texts: Sequence[int]) -> list[RawColumn]:
        # Default words for "no value" do not make a column one of texts; other words are matched later, to be counted.
        empty = ["", *(word for word in self.marks.words if word in MISSING)]
        # pandas checks the length of lines only if it reads all columns.
        how: dict[str, Any] = {"keep_default_na": False, "na_values": empty, "decimal": self.form.decimal}
        how["dtype"] = dict.fromkeys(as_texts, str)
        columns = {place: ReadColumn(self._marks_of_lines[1]) for place in places}
        how |= {"chunksize": self._rows_of_part, "low_memory": False}
        with self._parts(list(places) if is_part else None, **how) as parts:
            for part in parts:
                for place, cells in part.items():
                    if place in columns:
                        columns[place].add(cells)
        numbers = {place: values for place, column in columns.items() if (values := column.numbers()) is not None}
        found = {place: columns.pop(place).spelled() for place in places if place not in numbers}
        again = [place for place, spelled in found.items() if spelled is None]
        spelled = self._texts(again) if again else {}
        return [
            self._column(place, numbers.get(place), spelled.get(place))
            if found.get(place) is None
            else self._text_column(place, found[place])
            for place in places
        ]

    def _text_column(self, place: int, spelled: Spelled | None) -> RawColumn:
        """A column of texts, without default words for "no value"."""
        return RawColumn(lambda: spelled or self._cells(place), self.marks, None, partial(self._cells, place))

    def _column(self, place: int, values: NDArray[np.generic] | None, spelled: Spelled | None) -> RawColumn:
        def read() -> Spelled:
            if spelled is not None:
                return spelled
            with self._refusals():
                return self._cells(place)

        return RawColumn(read, self.marks, values)

    def _cells(self, place: int) -> Spelled:
        """The texts of one column, read from the file again."""
        if len(self.header) <= _WIDE:
            return self._texts([place])[place]
        with self._rows() as rows:
            next(rows)
            return spell(row[place] if place < len(row) else "" for row in rows)

    def _texts(self, places: Sequence[int]) -> dict[int, Spelled]:
        """The texts of some columns, read from the file again."""
        import pandas as pd

        how: dict[str, Any] = {"dtype": object, "na_filter": False}
        try:
            table = self._frame(list(places), **how)
        except pd.errors.ParserError:  # lines that are too short for the columns alone are filled up among all of them
            table = self._frame(None, **how)
        found = {}
        for place in places:
            codes, cells = pd.factorize(table.pop(place).to_numpy())
            found[place] = spell_coded(codes.astype(np.int64), cells.tolist())
        return found

    def _frame(self, columns: list[int] | None, **how: Any) -> Any:
        with self._parts(columns, **how) as table:
            return table

    @contextmanager
    def _parts(self, columns: list[int] | None, **how: Any) -> Iterator[Any]:
        """What pandas reads: a table, or, with `chunksize`, its parts one after the other."""
        import pandas as pd

        if not _rounds_exactly(pd.__version__):
            how["float_precision"] = "round_trip"
        read: Any = pd.read_csv
        with catch_warnings(), self._source() as source:
            # pandas reads a column in parts; one whose parts differ in type is read again as texts.
            simplefilter("ignore", pd.errors.DtypeWarning)
            yield read(
                source, sep=self.form.separator.replace(" ", r"\s+"), header=None,
                skiprows=self.form.skipped + 1, names=range(len(self.header)), usecols=columns,
                skip_blank_lines=False, engine="c", **how,
            )  # fmt: skip

    @contextmanager
    def _source(self) -> Iterator[Any]:
        """The content for pandas."""
        with opened(str(self.path)) as file:
            if self.form.encoding == "utf-8":
                yield CheckedBytes(file.stream)
                return
            with decoded_text(file.stream, self.form.encoding) as text:
                yield text

    def _by_lines(self, places: Sequence[int]) -> list[RawColumn]:
        width = len(self.header)
        with self._rows() as rows:
            next(rows)
            whole = []
            for row in rows:
                if len(row) > width:
                    line = rows.line_num + self.form.skipped
                    raise too_wide(self.path, line, len(row), width, self.form.separator)
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
    def _text(self) -> Iterator[IO[str]]:
        """Open the text, behind the lines that are skipped."""
        with opened(str(self.path)) as file, decoded_text(file.stream, self.form.encoding) as text:
            for _ in range(self.form.skipped):
                text.readline()
            yield text

    @contextmanager
    def _rows(self) -> Iterator[Any]:
        """Open a reader of the rows, starting with the header."""
        with self._text() as text:
            yield csv_rows(text, self.form.separator)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Convert errors of pandas and Python for invalid tables to a DataError."""
        import pandas as pd

        try:
            yield
        except UnicodeDecodeError as error:
            rule = f"is not {self.form.encoding} text ({error.reason} at byte {error.start})"
            remedy = "Set data.encoding to its encoding, such as data.encoding=cp1252"
            raise DataError(rule, file=self.path, remedy=remedy) from error
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", file=self.path, code="system-error") from error
        except (pd.errors.ParserError, csv.Error, ValueError) as error:
            reason = str(error).replace("Error tokenizing data. C error: ", "").strip()
            if found := _TOO_WIDE.fullmatch(reason):
                width, line, cells = map(int, found.groups())
                raise too_wide(self.path, line, cells, width, self.form.separator) from error
            remedy = "Check the quotes and data.separator."
            raise DataError(f"not a valid table: {reason}", file=self.path, remedy=remedy) from error

    def _lines(self, count: int) -> NDArray[np.int64]:
        """(N,) the line of each row, counted row by row if quoted cells span several lines."""
        first = self.form.skipped + 2
        has_quotes, breaks = self._marks_of_lines
        if not has_quotes or breaks == count + first - 1:
            return np.arange(first, count + first, dtype=np.int64)
        lines = []
        with self._rows() as rows:
            next(rows)
            before = rows.line_num
            for _ in rows:
                lines.append(before + 1)
                before = rows.line_num
        found = np.array((lines + [before + 1] * count)[:count], dtype=np.int64)
        return found + self.form.skipped

    @cached_property
    def _marks_of_lines(self) -> tuple[bool, int]:
        """(whether the file has quotation marks, the number of its lines, including those within quotes)."""
        has_quotes, found, last = False, 0, b"\n"
        for piece in self._bytes():
            found += int(np.count_nonzero(np.frombuffer(piece, dtype=np.uint8) == _NEWLINE))  # faster than bytes.count
            found += piece.count(b"\r") - piece.count(b"\r\n") if b"\r" in piece else 0
            found -= last == b"\r" and piece[:1] == b"\n"
            last = piece[-1:]
            has_quotes = has_quotes or b'"' in piece
        return has_quotes, found + (last not in b"\r\n")

    @property
    def _rows_of_part(self) -> int:
        """The rows that are read at a time: a few megabytes of cells, but enough that a part costs little."""
        return max(_FEWEST_ROWS, 1 << (_CELLS // len(self.header)).bit_length() - 1)

    def _bytes(self) -> Iterator[bytes]:
        """The content in pieces, in an encoding that writes ASCII as it is."""
        with opened(str(self.path)) as file:
            if self.form.encoding in _OVER_ASCII:
                yield from iter(lambda: file.stream.read(_PIECE), b"")
                return
            with decoded_text(file.stream, self.form.encoding) as text:
                yield from iter(lambda: text.read(_PIECE).encode("utf-8", "surrogatepass"), b"")


def _floats(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """The numbers in the cells; None if a cell is empty, not finite, or valid only in Python, such as 1_0."""
    try:
        values = np.array([float(cell) for cell in cells])
    except ValueError:
        return None
    return None if not np.isfinite(values).all() or any("_" in cell for cell in cells) else values


def _rounds_exactly(version: str) -> bool:
    """Return whether this version of pandas parses floats exactly by default."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return (major, minor) >= (3, 1)
