"""The names of the columns of a table in a file, for messages about a missing `data.target`. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from dlexp.data.tables.files.arrow_file import arrow_file
from dlexp.data.tables.files.detection import form_of
from dlexp.data.tables.files.opening import opened
from dlexp.data.tables.files.rows import open_rows
from dlexp.data.tables.files.table_form import AUTO, FormSettings
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DlexpError


def column_names(path: Path, separator: str = AUTO) -> list[str]:
    """The columns of a table in a file; [] for a file that cannot be read, which its reader reports later.

    Args:
        path: The file.
        separator: Between two cells of a text file, as data.separator.
    """
    marks, name = Marks(), str(path)
    try:
        settings = FormSettings.of({"separator": separator})
        with opened(name) as file:
            form = form_of(name, file, settings, marks)
            if form.format in ("parquet", "feather"):
                with arrow_file(name, form.format, file.stream) as arrow:
                    return arrow.names
            with open_rows(name, file, form, settings, marks) as (table, _):
                return table.header
    except (DlexpError, ValueError):
        return []
