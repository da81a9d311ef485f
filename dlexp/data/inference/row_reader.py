"""Streaming readers of rows from CSV, JSON lines and Parquet files and from standard input."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dlexp.artifacts.files.reading import NO_LIMIT, NotReadableError, open_regular
from dlexp.data.inference.items import missing_file
from dlexp.data.paths import check_file
from dlexp.data.tables.arrow_columns import check_type, raw_column
from dlexp.data.tables.json_lines import JSON_LINES, json_lines
from dlexp.data.tables.pieces import ROWS_AT_A_TIME, OpenTable, Piece, Row
from dlexp.data.tables.spelling import Marks
from dlexp.errors import ConfigError, DataError

STDIN = "-"


@contextmanager
def open_table(path: str, separator: str, marks: Marks) -> Iterator[OpenTable]:
    """Open a table for sequential reading. Raises DataError if invalid, ConfigError for Parquet without pyarrow.

    marks  texts that mean "no value"
    """
    if path.lower().endswith((".parquet", ".pq")):
        yield _parquet(path, marks)
        return
    with _text_of(path) as file:
        if path.lower().endswith(JSON_LINES):
            yield json_lines(path, file, marks)
            return
        reader = csv.reader(file, delimiter="\t" if path.lower().endswith(".tsv") else separator)
        try:
            header = next(reader, None)
        except csv.Error as error:
            raise DataError(f"not a valid table: {error}", file=path, row=1) from error
        if header is None:
            raise DataError("is empty", file=path, code="too-few-samples")
        width = len(header)
        names = [name.strip() for name in header]
        yield OpenTable(names, lambda places: _lines(path, reader, places, width, marks), "line")


def _lines(path: str, reader: Any, places: Sequence[int], width: int, marks: Marks) -> Iterator[Piece]:
    rows: list[Row] = []
    lines: list[int] = []
    while True:
        line = reader.line_num + 1  # of the start of the row: a quoted cell may span lines
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"not a valid table: {error}", file=path, row=line) from error
        if row is None or len(rows) == ROWS_AT_A_TIME:
            yield Piece.of_rows(rows, lines, len(places), marks)
            rows, lines = [], []
        if row is None:
            return
        if row or width == 1:  # blank lines are skipped, except in a table of one column
            rows.append(_row(row, places, width))
            lines.append(line)


def _row(row: list[str], places: Sequence[int], width: int) -> Row:
    if len(row) > width:
        return f"has {len(row)} cells, but the header has {width}"
    if any("\udc80" <= letter <= "\udcff" for cell in row if not cell.isascii() for letter in cell):
        return "not UTF-8 text"
    if not "".join(row).strip():
        return "all cells are empty"
    return [row[place] if place < len(row) else None for place in places]


@contextmanager
def _text_of(path: str) -> Iterator[IO[str]]:
    """The text of a file or of standard input; bytes that are not UTF-8 become lone surrogates."""
    if path == STDIN:
        yield io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="surrogateescape", newline="")
        return
    try:
        with open_regular(path, NO_LIMIT) as file:
            yield io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    except FileNotFoundError:
        raise DataError(missing_file(Path(path)), file=path, code="not-found") from None
    except NotReadableError as error:  # a pipe cannot be read twice, but the header is
        rule, remedy = f"cannot be read: {error.strerror}", "Use INPUT - and standard input."
        raise DataError(rule, file=path, remedy=remedy, code="system-error") from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=path, code="system-error") from error


def _parquet(path: str, marks: Marks) -> OpenTable:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        rule, remedy = "Parquet requires the package pyarrow", "Install it: pip install 'dlexp[parquet]'"
        raise ConfigError.one(path, "", rule, remedy, code="missing-package") from error
    check_file(Path(path))
    try:
        file = parquet.ParquetFile(path)
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"not a valid Parquet file: {error}", file=path) from error
    names = list(file.schema_arrow.names)

    def rows(places: Sequence[int]) -> Iterator[Piece]:
        wanted, number = [names[place] for place in places], 0
        for name in wanted:
            check_type(path, name, file.schema_arrow.field(name).type, "Write numbers or texts, as in training.")
        try:
            for piece in file.iter_batches(batch_size=ROWS_AT_A_TIME, columns=wanted):
                columns = [raw_column(path, name, piece.column(name), marks) for name in wanted]
                yield Piece(columns, [""] * len(piece), list(range(number, number + len(piece))))
                number += len(piece)
        except (arrow.ArrowException, OSError) as error:
            raise DataError(f"cannot be read after this row: {error}", file=path, row=number) from error

    return OpenTable([name.strip() for name in names], rows, "row")
