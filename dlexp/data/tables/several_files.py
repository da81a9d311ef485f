"""One raw table of the files of train, validation and test, which must have the same columns.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlexp.data.tables.raw_column import RawColumn, Spelled
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.text.quoting import listed

if TYPE_CHECKING:
    from dlexp.data.tables.raw_table import RawTable


def read_files(
    paths: Sequence[str | None], read: Callable[[Path], RawTable], dropped: Collection[str] = ()
) -> RawTable:
    """The table of the files of train, val and test, one after the other; as it is where there is one file.

    paths    data.path, data.val_path and data.test_path, None for no file
    dropped  columns that are not read, which a file may lack
    Raises DataError for files with other columns than the first, with all of them.
    """
    tables = {part: read(Path(path)) for part, path in zip(("train", "val", "test"), paths, strict=True) if path}
    first = tables["train"]
    if len(tables) == 1:
        return first
    _refuse_other_columns(tables, set(dropped))
    columns = {name: joined([table.raw[name] for table in tables.values()], first.marks) for name in first.raw}
    lines = np.concatenate([table.lines for table in tables.values()])
    several = tuple((part, table.file, len(table.lines)) for part, table in tables.items())
    notes = [(table.file.name, note) for table in tables.values() for note in table.notes]
    named = tuple(dict.fromkeys(note if file == first.file.name else f"{file}: {note}" for file, note in notes))
    return type(first)(
        first.file, columns, lines, first.names, first.marks, first.unit, first.index, named, several=several
    )


def joined(columns: Sequence[RawColumn], marks: Marks) -> RawColumn:
    """The cells of several columns, one after the other: numbers if all of them hold numbers, texts otherwise."""
    values = None
    if all(column.has_values for column in columns):
        values = np.concatenate([column.numbers[0] for column in columns])
    return RawColumn(partial(_joined_texts, columns), marks, values)


def _joined_texts(columns: Sequence[RawColumn]) -> Spelled:
    places: dict[str, int] = {}
    codes = []
    for column in columns:
        spelled = column.spelled
        own = [places.setdefault(text, len(places)) for text in spelled.distinct]
        codes.append(np.array([*own, -1], dtype=np.int64)[spelled.codes])
    return Spelled(np.concatenate(codes), tuple(places))


def _refuse_other_columns(tables: dict[str, RawTable], dropped: set[str]) -> None:
    """Raise DataError for columns that a file has and the one of train has not, or the other way round."""
    first = tables["train"]
    known = set(first.names) - dropped
    problems = []
    for part, table in tables.items():
        own = set(table.names) - dropped
        lacking = [name for name in first.names if name in known - own]
        extra = [name for name in table.names if name in own - known]
        if lacking:
            problems.append(
                f"  {table.file} (data.{part}_path) lacks {counted(len(lacking), 'column')}: {listed(lacking)}"
            )
        if extra:
            problems.append(
                f"  {table.file} (data.{part}_path) has {counted(len(extra), 'more column')}: {listed(extra)}"
            )
        near = {name: get_close_matches(name, extra, n=1) for name in lacking}
        problems += [f"    {extras[0]!r} may be meant as {name!r}" for name, extras in near.items() if extras]
    if problems:
        lines = "\n".join(["the files of the splits must have the columns of train:", *problems])
        remedy = "Rename, add or remove the columns. Columns that are not used can be dropped in all files: "
        raise DataError(lines, file=first.file, remedy=remedy.rstrip(": ") + " with data.columns={NAME: drop}")
