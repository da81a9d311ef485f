"""Sequential readers of rows by the format of a file. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from dlexp.data.tables.files.json_lines import KnownKeys, json_array, json_lines
from dlexp.data.tables.files.opening import OpenFile
from dlexp.data.tables.files.pieces import OpenTable
from dlexp.data.tables.files.table_form import FormSettings, TableForm
from dlexp.data.tables.files.text_form import decoded_text
from dlexp.data.tables.files.text_rows import text_rows
from dlexp.data.tables.files.workbook import workbook
from dlexp.data.tables.spelling import Marks


@contextmanager
def open_rows(
    path: str,
    file: OpenFile,
    form: TableForm,
    settings: FormSettings,
    marks: Marks,
    expected: TableForm | None = None,
    known: KnownKeys | None = None,
) -> Iterator[tuple[OpenTable, TableForm]]:
    """Open a text or a workbook in its form, which for a workbook gets the name of its sheet. Raises DataError."""
    if form.format == "excel":
        table, sheet = workbook(path, file.stream, settings.sheet, marks, expected.sheet if expected else "")
        yield table, replace(form, sheet=sheet)
        return
    with decoded_text(file.stream, form.encoding, "surrogateescape") as text:
        if form.format == "json lines":
            yield json_lines(path, text, marks, known), form
        elif form.format == "json":
            yield json_array(path, text, marks, known), form
        else:
            yield text_rows(path, text, form, marks), form
