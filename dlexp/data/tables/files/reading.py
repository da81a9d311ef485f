"""The reader of all table files: whole columns for training, pieces of rows for prediction."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np

from dlexp.data.paths import check_file
from dlexp.data.tables.files.arrow_file import arrow_file
from dlexp.data.tables.files.form import AUTO, FormSettings, TableForm
from dlexp.data.tables.files.json_lines import json_array, json_kind, json_lines
from dlexp.data.tables.files.opening import HEAD_BYTES, STDIN, OpenFile, opened
from dlexp.data.tables.files.pieces import OpenTable
from dlexp.data.tables.files.text_file import TextFile
from dlexp.data.tables.files.text_form import decoded, encoding_of, has_utf_8_letters, with_separator
from dlexp.data.tables.files.text_rows import text_rows
from dlexp.data.tables.files.workbook import workbook
from dlexp.data.tables.number_columns import with_styles
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.raw_table import RawTable, check_names
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError

_PIECE = 1 << 20  # bytes read at a time


def read_table(
    path: Path,
    settings: FormSettings,
    marks: Marks,
    without: Sequence[str] = (),
    only: str | None = None,
    as_texts: Collection[str] = (),
) -> tuple[RawTable, TableForm]:
    """The raw table with all columns except `without`, or with only one, and the form that was found.

    as_texts  columns of labels; only for speed
    Raises DataError for an invalid file, ConfigError if a package for this format is missing.
    """
    check_file(path)
    with opened(str(path)) as file:
        form = _form(str(path), file, settings, marks)
        if form.format in ("parquet", "feather"):
            with arrow_file(str(path), form.format, file.stream) as arrow:
                wanted = _wanted(path, arrow.names, without, only)
                columns, count = arrow.columns(wanted, marks)
                lines = np.arange(1, count + 1, dtype=np.int64)
                table = RawTable(path, columns, lines, tuple(arrow.names), marks, "row", arrow.index)
        elif form.format == "csv":
            text = TextFile(path, form, marks)
            wanted = _wanted(path, text.header, without, only)
            columns, lines = text.read(wanted, is_part=only is not None, as_texts=as_texts)
            table = RawTable(path, columns, lines, tuple(text.header), marks)
        else:
            with _open_rows(str(path), file, form, settings, marks) as (rows, form):
                table = _whole(path, rows, _wanted(path, rows.header, without, only), marks)
    styled, styles = with_styles(table.raw, form.decimal, settings.decimal, settings.thousands, table.refusal)
    return replace(table, raw=styled), replace(form, styles=styles)


@contextmanager
def open_table(
    path: str, settings: FormSettings, marks: Marks, expected: TableForm | None = None
) -> Iterator[tuple[OpenTable, TableForm]]:
    """Open a file, or standard input for `-`, for sequential reading; also returns the form that was found.

    expected  the form of the training file, which decides where the file may have either
    Raises DataError for an invalid file, ConfigError if a package for this format is missing.
    """
    with opened(path) as file:
        form = _form(path, file, settings, marks, expected)
        if form.format in ("parquet", "feather"):
            with arrow_file(path, form.format, file.stream) as arrow:
                yield arrow.opened(marks), form
        else:
            with _open_rows(path, file, form, settings, marks, expected) as found:
                yield found


@contextmanager
def _open_rows(
    path: str,
    file: OpenFile,
    form: TableForm,
    settings: FormSettings,
    marks: Marks,
    expected: TableForm | None = None,
) -> Iterator[tuple[OpenTable, TableForm]]:
    if form.format == "excel":
        table, sheet = workbook(path, file.stream, settings.sheet, marks, expected.sheet if expected else "")
        yield table, replace(form, sheet=sheet)
        return
    with decoded(file.stream, form.encoding, "surrogateescape") as text:
        if form.format == "json lines":
            yield json_lines(path, text, marks), form
        elif form.format == "json":
            yield json_array(path, text, marks), form
        else:
            yield text_rows(path, text, form, marks), form


def _form(
    path: str, file: OpenFile, settings: FormSettings, marks: Marks, expected: TableForm | None = None
) -> TableForm:
    if file.format != "text":
        return TableForm(file.format, file.compression)
    is_whole = len(file.head) < HEAD_BYTES
    encoding = settings.encoding if settings.encoding != AUTO else _encoding(path, file, is_whole)
    form = TableForm(compression=file.compression, encoding=encoding)
    text = file.head.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")
    if kind := json_kind(text, path):
        return replace(form, format=kind)
    return with_separator(path, text, form, settings, marks, is_whole, expected)


def _encoding(path: str, file: OpenFile, is_whole: bool) -> str:
    """The encoding of all of a file, of standard input by its beginning. Raises DataError for a mixture."""
    found = encoding_of(file.head, is_whole)
    if found == "utf-8" and not is_whole and path != STDIN and file.stream.seekable():
        found = _of_rest(file.stream)
        file.stream.seek(0)
    if found == "binary":
        rule = "is neither text nor a table of a known format (Parquet, Feather, a workbook)"
        raise DataError(rule, file=path, remedy="Save it as CSV, or set data.encoding to the encoding of its text.")
    if not found:
        rule = "must have one encoding: some letters are UTF-8, and others are not"
        remedy = "Set data.encoding=cp1252, data.encoding=utf-8, or save it again as UTF-8."
        raise DataError(rule, file=path, remedy=remedy)
    return found


def _of_rest(stream: IO[bytes]) -> str:
    """The encoding of a stream that begins as UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    has_letters, is_valid, undefined = False, True, False
    for piece in iter(lambda: stream.read(_PIECE), b""):
        if piece.isascii() and not decoder.getstate()[0]:
            continue
        has_letters = has_letters or has_utf_8_letters(piece)
        undefined = undefined or encoding_of(piece, True) == "latin-1"
        try:
            decoder.decode(piece)
        except UnicodeDecodeError:
            is_valid = False
            decoder.reset()
    if is_valid and not decoder.getstate()[0]:
        return "utf-8"
    return "" if has_letters else "latin-1" if undefined else "cp1252"


def _wanted(path: Path, names: Sequence[str], without: Sequence[str], only: str | None) -> list[str]:
    if only is not None:
        check_names(path, names, [only], "data.target")
        return [only]
    check_names(path, names, without, "data.drop")
    left_out = set(without)
    return [name for name in names if name not in left_out]


def _whole(path: Path, table: OpenTable, wanted: Sequence[str], marks: Marks) -> RawTable:
    """All rows of a table that is read row by row. Raises DataError for an unusable row."""
    place_of = {name: place for place, name in enumerate(table.header)}
    if len(place_of) < len(table.header):
        repeated = sorted({name for name in table.header if table.header.count(name) > 1})
        raise DataError(f"duplicate column names: {', '.join(map(repr, repeated))}", file=path)
    pieces = list(table.rows([place_of[name] for name in wanted]))
    lines = np.array([place for piece in pieces for place in piece.places], dtype=np.int64)
    problems = [problem for piece in pieces for problem in piece.problems]
    keep = [number for number, problem in enumerate(problems) if problem != "all cells are empty"]
    for number in keep:
        if problems[number]:
            rule = f"not a valid table: {problems[number]}"
            raise DataError(rule, file=path, row=int(lines[number]), unit=table.place)
    if not keep:
        raise DataError("has no rows", file=path, code="too-few-samples")
    columns = {}
    for place, name in enumerate(wanted):
        cells = list(chain.from_iterable(_cells(piece.columns[place]) for piece in pieces))
        columns[name] = RawColumn.of_texts([cells[number] for number in keep], marks)
    return RawTable(path, columns, lines[keep], tuple(table.header), marks, table.place)


def _cells(column: RawColumn) -> list[str | None]:
    texts: list[str | None] = [*column.spelled.distinct, None]
    return [texts[code] for code in column.spelled.codes.tolist()]
