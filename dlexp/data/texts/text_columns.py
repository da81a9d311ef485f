"""The columns of a table that hold its texts.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from dlexp.data.tables.raw_column import RawColumn
from dlexp.errors import DataError
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import listed, setting

AUTO = "auto"
BETWEEN = "\n"  # of the texts of several columns
_WORDS = 3.0  # mean number of words from which a column is one of texts, rather than of names and labels
_NAMED = 20  # columns listed in a message
_KEY = "data.text"


def text_columns(
    file: Path,
    columns: dict[str, RawColumn],
    wanted: str | Sequence[str],
    others: Collection[str],
    names: Sequence[str] = (),
) -> list[str]:
    """The columns of texts: those that are wanted, or the only one whose cells have several words.

    Args:
        file: The table.
        columns: Those of its columns that are read, by name.
        wanted: data.text.
        others: The columns of targets and of splits, which hold no texts.
        names: All its columns.

    Raises:
        DataError: A column does not exist or is another one's, or none or several of them may be meant.
    """
    if wanted != AUTO:
        found = [wanted] if isinstance(wanted, str) else list(dict.fromkeys(wanted))
        for name in found:
            if name not in columns:
                raise unknown_column(file, name, names or list(columns))
            if name in others:
                rule = f"is {_KEY}, and the target or what divides the splits too"
                raise DataError(rule, file=file, column=name, remedy=f"Set another {_KEY}", code="cannot-combine")
        return found
    free = {name: _mean_words(column) for name, column in columns.items() if name not in others}
    texts = [name for name, words in free.items() if words >= _WORDS]
    if len(texts) == 1:
        return texts
    some = texts or [name for name, words in free.items() if words]
    if len(some) == 1:
        return some
    what = "several columns hold texts" if some else "no column holds texts"
    rule = f"{what}: {listed(some[:_NAMED])}" if some else f"{what}; its columns are {listed(list(columns)[:_NAMED])}"
    remedy = (
        f"Name one of them: {setting(_KEY, some[0])}; several are joined: {setting(_KEY, some[:2])}" if some else ""
    )
    raise DataError(rule, file=file, remedy=remedy, code="missing-value")


def texts_of(columns: Sequence[RawColumn]) -> list[str]:
    """(N,) the texts of some columns, joined row by row; "" for a row without any."""
    cells = [_cells(column) for column in columns]
    if len(cells) == 1:
        return cells[0]
    return [BETWEEN.join(filter(None, row)) for row in zip(*cells, strict=True)]


def _cells(column: RawColumn) -> list[str]:
    """The texts of all cells as the file spells them: `none` and `?` are texts here."""
    spelled = column.spelled
    texts = [*(spelled.written or spelled.distinct), ""]
    return [texts[code] if code >= 0 else column.cell(row) for row, code in enumerate(spelled.codes.tolist())]


def _mean_words(column: RawColumn) -> float:
    """Mean number of words of the cells that are not empty; 0 for a column of numbers."""
    if column.cells().dtype != object:
        return 0.0
    spelled = column.present
    counts = np.bincount(spelled.codes[spelled.codes >= 0], minlength=len(spelled.distinct))
    words = np.array([len(text.split()) for text in spelled.distinct], dtype=np.float64)
    return float((counts * words).sum() / max(1, counts.sum()))


def unknown_column(file: Path, name: str, columns: Sequence[str]) -> DataError:
    """The error for a column `name` of data.text that is not among `columns`."""
    near = nearest_name(name, columns)
    remedy = f"Did you mean {setting(_KEY, near)}?" if near else f"Its columns are {listed(columns[:_NAMED])}"
    return DataError(f"column not found ({_KEY})", file=file, column=name, remedy=remedy, code="not-found")
