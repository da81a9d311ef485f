"""Streaming writers of rows: CSV, TSV, JSON, JSON lines or Parquet, to a file or to standard output."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from dlexp.artifacts.files.writing import finite_or_none, replacing
from dlexp.errors import ConfigError
from dlexp.text.printable import printable_lines

FORMATS = {".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".parquet": "parquet"}  # suffix -> format

Columns = Mapping[str, Sequence[Any]]  # name -> values, None for a missing one; the same names in every call
_DIGITS = 6  # significant, on a terminal


class RowWriter(Protocol):
    """A writer of rows, in several calls."""

    def write(self, columns: Columns) -> None:
        """Add rows."""

    def close(self) -> None:
        """Write the end of the file."""


def format_of(path: Path | None, given: str | None) -> str:
    """The format, csv, tsv, json, jsonl or parquet: `given`, or that of the suffix of `path`; csv on standard output.

    Raises ConfigError for an unknown suffix or format, and for Parquet on standard output.
    """
    if given is not None and given not in FORMATS.values():
        rule = f"unknown format; available: {', '.join(FORMATS.values())}"
        raise ConfigError.one("--format", given, rule, code="unknown-value")
    if path is None:
        if given == "parquet":
            rule = "cannot be written to standard output"
            raise ConfigError.one("--format", given, rule, "Add --out FILE.parquet", code="missing-requirement")
        return given or "csv"
    if given is None and path.suffix.lower() not in FORMATS:
        rule = f"must end with one of {', '.join(FORMATS)}"
        raise ConfigError.one("--out", path, rule, "Rename it, or set --format.", code="unknown-value")
    return given or FORMATS[path.suffix.lower()]


@contextmanager
def rows_to(path: Path | None, kind: str) -> Iterator[RowWriter]:
    """Write rows to `path`, which appears after the body, or to standard output.

    Raises ConfigError for Parquet without pyarrow, DlexpError if the file cannot be written.
    """
    if path is None:
        # On a terminal, which people read, control characters are escaped and numbers of a table are rounded.
        is_read = sys.stdout.isatty()
        writer = _writer(_Terminal(sys.stdout.buffer) if is_read else sys.stdout.buffer, kind, is_read)
        yield writer
        writer.close()
        sys.stdout.buffer.flush()
        return
    with replacing(path, 0) as file:
        writer = _writer(file, kind)
        yield writer
        writer.close()


class _Terminal(io.BytesIO):
    """Standard output on a terminal, with control characters escaped."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file

    def write(self, content: Any) -> int:
        self._file.write(printable_lines(bytes(content).decode(errors="replace")).encode())
        return len(content)


class Collected:
    """A writer that keeps the rows in memory, each as name -> value."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, columns: Columns) -> None:
        """Add rows."""
        self.rows += _objects(columns)

    def close(self) -> None:
        """Do nothing."""


class _Csv:
    """A CSV writer: floats keep every digit, unless rounded; None is an empty cell; the first rows have the header."""

    def __init__(self, file: IO[bytes], separator: str, is_rounded: bool) -> None:
        self._file, self._separator, self._started = file, separator, False
        self._is_rounded = is_rounded

    def write(self, columns: Columns) -> None:
        text = io.StringIO()
        rows = csv.writer(text, delimiter=self._separator, lineterminator="\n")
        if not self._started:
            rows.writerow(columns)
        cells = [_rounded(column) for column in columns.values()] if self._is_rounded else columns.values()
        rows.writerows(zip(*cells, strict=True))
        self._started = True
        self._file.write(text.getvalue().encode())

    def close(self) -> None:
        pass


class _Json:
    """A JSON writer: one line for each row, as JSON lines or as one document."""

    def __init__(self, file: IO[bytes], is_document: bool) -> None:
        self._file, self._is_document, self._started = file, is_document, False

    def write(self, columns: Columns) -> None:
        lines = [json.dumps(row) for row in _objects(columns)]
        if not lines:
            return
        between = ",\n" if self._is_document else "\n"
        start = between if self._started else "[\n" if self._is_document else ""
        self._file.write(f"{start}{between.join(lines)}".encode())
        self._started = True

    def close(self) -> None:
        if self._is_document:
            self._file.write(b"\n]\n" if self._started else b"[]\n")
        elif self._started:
            self._file.write(b"\n")


class _Parquet:
    """A Parquet writer: a row group per write; the type of a column is that of its first value, text if it has none."""

    def __init__(self, file: IO[bytes]) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            rule, remedy = "Parquet requires the package pyarrow", "Install it: pip install 'dlexp[parquet]'"
            raise ConfigError.one("--out", "parquet", rule, remedy, code="missing-package") from error
        self._arrow, self._parquet, self._file = pyarrow, parquet, file
        self._writer: Any = None

    def write(self, columns: Columns) -> None:
        arrow = self._arrow
        if self._writer is None:
            kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64()}
            first = {name: next((v for v in values if v is not None), "") for name, values in columns.items()}
            schema = arrow.schema([(name, kinds[type(value)]) for name, value in first.items()])
            self._writer = self._parquet.ParquetWriter(self._file, schema)
        self._writer.write_table(arrow.table({k: list(v) for k, v in columns.items()}, schema=self._writer.schema))

    def close(self) -> None:
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._file, self._arrow.schema([]))
        self._writer.close()


def _rounded(column: Sequence[Any]) -> list[Any]:
    """The values of a column, floats with _DIGITS significant digits."""
    return [f"{cell:.{_DIGITS}g}" if isinstance(cell, float) else cell for cell in column]


def _writer(file: IO[bytes], kind: str, is_rounded: bool = False) -> RowWriter:
    if kind == "parquet":
        return _Parquet(file)
    if kind in ("csv", "tsv"):
        return _Csv(file, "," if kind == "csv" else "\t", is_rounded)
    return _Json(file, kind == "json")


def _objects(columns: Columns) -> list[dict[str, Any]]:
    names = list(columns)
    return [finite_or_none(dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)]
