"""The reader of all table files: whole columns for training, pieces of rows for prediction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from dlexp.data.paths import check_file
from dlexp.data.tables.features.problems import check_names, raise_all
from dlexp.data.tables.files.arrow_file import arrow_file
from dlexp.data.tables.files.detection import form_of
from dlexp.data.tables.files.json_lines import KnownKeys
from dlexp.data.tables.files.opening import opened
from dlexp.data.tables.files.pieces import OpenTable, repeated_names
from dlexp.data.tables.files.rows import open_rows
from dlexp.data.tables.files.table_form import FormSettings, TableForm
from dlexp.data.tables.files.text_file import TextFile
from dlexp.data.tables.number_columns import with_styles
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.raw_table import RawTable, dropped_of
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError
from dlexp.text.quoting import setting

_PIECE = 1 << 20  # bytes read at a time


def read_table(
    path: Path,
    settings: FormSettings,
    marks: Marks,
    targets: Sequence[str],
    declared: Mapping[str, str],
    *,
    targets_only: bool = False,
    as_texts: Collection[str] = (),
    may_be_list: bool = False,
) -> tuple[RawTable, TableForm]:
    """The raw table with all columns that are not dropped, or with the targets only, and the form that was found.

    declared  name -> kind, as data.columns
    as_texts  columns of labels; only for speed
    may_be_list  whether a text may have one column, which is otherwise a mistaken separator
    Raises DataError for an invalid file, ConfigError if a package for this format is missing.
    """
    check_file(path)
    with opened(str(path)) as file:
        form = form_of(str(path), file, settings, marks)
        if form.format in ("parquet", "feather"):
            with arrow_file(str(path), form.format, file.stream) as arrow:
                wanted = _wanted(path, arrow.names, targets, declared, targets_only)
                columns, count = arrow.columns(wanted, marks, targets, declared)
                lines = np.arange(1, count + 1, dtype=np.int64)
                table = RawTable(path, columns, lines, tuple(arrow.names), marks, "row", arrow.index)
        elif form.format == "csv":
            text = TextFile(path, form, marks, may_be_list)
            wanted = _wanted(path, text.header, targets, declared, targets_only)
            columns, lines, notes = text.read(wanted, is_part=targets_only, as_texts=as_texts)
            table = RawTable(path, columns, lines, tuple(text.header), marks, notes=tuple(notes))
        else:
            with open_rows(str(path), file, form, settings, marks) as (rows, form):
                table = _whole(path, rows, _wanted(path, rows.header, targets, declared, targets_only), marks)
    wanted_marks = (form.decimal, settings.decimal, settings.thousands)
    styled, styles, problems = with_styles(table.raw, *wanted_marks, table.refusal)
    raise_all(problems, path, declared)
    return replace(table, raw=styled), replace(form, styles=styles)


def check_widths(path: Path, settings: FormSettings, marks: Marks) -> None:
    """Raise DataError for a row of a text that has more cells than the header."""
    with opened(str(path)) as file:
        form = form_of(str(path), file, settings, marks)
    if form.format == "csv":
        TextFile(path, form, marks).check_widths()


@contextmanager
def open_table(
    path: str,
    settings: FormSettings,
    marks: Marks,
    expected: TableForm | None = None,
    known: KnownKeys | None = None,
) -> Iterator[tuple[OpenTable, TableForm]]:
    """Open a file, or standard input for `-`, for sequential reading; also returns the form that was found.

    expected  the form of the training file, which decides where the file may have either
    known     what prediction knows of the keys of JSON objects
    Raises DataError for an invalid file, ConfigError if a package for this format is missing.
    """
    with opened(path) as file:
        form = form_of(path, file, settings, marks, expected)
        if form.format in ("parquet", "feather"):
            with arrow_file(path, form.format, file.stream) as arrow:
                yield arrow.opened(marks), form
        else:
            with open_rows(path, file, form, settings, marks, expected, known) as found:
                yield found


def _wanted(
    path: Path, names: Sequence[str], targets: Sequence[str], declared: Mapping[str, str], targets_only: bool
) -> list[str]:
    """The columns to read. Raises DataError for a target that is none of them, if nothing else is read."""
    if targets_only:
        check_names(path, names, targets)
        return list(targets)
    left_out = dropped_of(declared, targets)
    return [name for name in names if name not in left_out]


def _whole(path: Path, table: OpenTable, wanted: Sequence[str], marks: Marks) -> RawTable:
    """All rows of a table that is read row by row. Raises DataError for an unusable row."""
    place_of = {name: place for place, name in enumerate(table.header)}
    if len(place_of) < len(table.header):
        raise repeated_names(path, table.header)
    pieces = list(table.rows([place_of[name] for name in wanted]))
    lines = np.array([place for piece in pieces for place in piece.places], dtype=np.int64)
    problems = [problem for piece in pieces for problem in piece.problems]
    keep = [number for number, problem in enumerate(problems) if problem != "all cells are empty"]
    for number in keep:
        if problems[number]:
            rule = f"not a valid table: {problems[number]}"
            column = next((name for name in wanted if problems[number].startswith(f"column {name!r}: ")), "")
            remedy = f"Or drop the column: {setting('data.columns', {column: 'drop'})}" if column else ""
            raise DataError(rule, file=path, row=int(lines[number]), unit=table.place, remedy=remedy)
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
