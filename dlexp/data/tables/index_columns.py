"""Columns of a table that number, name or divide its rows and describe nothing: they are not learnt from.

An index that went into a file beside the data tells a table that is sorted by its target everything, and a table of
noise apart row by row.

Symbols: N rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.split_names import split_of
from dlexp.text.quoting import setting

_INDEX_NAME = re.compile(r"Unnamed: 0(\.\d+)*|__index_level_\d+__")  # as pandas names an index without a name
_FEWEST = 40  # rows below which whole numbers in a row may be a ranking or a step
_LOOKED = 100  # cells that are looked at before a whole column is


def index_columns(
    columns: Mapping[str, NDArray[Any]], kept: Collection[str], declared: Collection[str] = ()
) -> dict[str, str]:
    """Name of each column that is no feature -> why, as a phrase that follows the name.

    columns   name -> (N,) cells: texts, None for a missing one; or float64 numbers
    kept      columns that the user names: they are features whatever they look like
    declared  columns that the file itself calls its index
    """
    found: dict[str, str] = {}
    for place, (name, cells) in enumerate(columns.items()):
        if name in kept:
            continue
        if place == 0 and not name:
            found[name] = "comes first and has no name"
        elif name in declared or is_index_name(name):
            found[name] = "is an index"
        elif _counts_rows(cells):
            found[name] = "counts the rows"
        elif _divides_rows(cells):
            found[name] = "names the split of each row (the splits are drawn here)"
    return found


def is_index_name(name: str) -> bool:
    """Whether pandas gives this name to an index that has none, as it writes it or reads it back."""
    return _INDEX_NAME.fullmatch(name) is not None


def pandas_index(metadata: Mapping[bytes, bytes] | None) -> tuple[str, ...]:
    """The columns that are the index, as the `pandas` entry in the metadata of an Arrow schema names them.

    An index that counts the rows is a dict there and no column. Format: "Storing pandas DataFrame objects" in the
    documentation of Apache Arrow.
    """
    try:
        described = json.loads((metadata or {}).get(b"pandas", b"{}"))
        return tuple(str(name) for name in described.get("index_columns", ()) if isinstance(name, str))
    except (ValueError, AttributeError, TypeError):
        return ()  # written by something else under the same name


def keeping(name: str) -> str:
    """The setting that makes a feature of such a column."""
    return setting("data.keep", [name])


def _counts_rows(cells: NDArray[Any]) -> bool:
    """Whether the cells are 0 to N-1 or 1 to N, in any order."""
    count = len(cells)
    if count < _FEWEST or _whole(cells[:_LOOKED], count) is None:
        return False
    numbers = _whole(cells, count)
    if numbers is None:
        return False
    first = int(numbers.min())
    return first in (0, 1) and bool((np.bincount(numbers - first, minlength=count) == 1).all())


def _whole(cells: NDArray[Any], largest: int) -> NDArray[np.int64] | None:
    """The cells as whole numbers from 0 to `largest`, None where one is none."""
    try:
        numbers = cells.astype(np.float64)
    except (TypeError, ValueError):  # a missing cell, a text
        return None
    if not ((numbers >= 0) & (numbers <= largest) & (numbers == np.floor(numbers))).all():
        return None
    whole: NDArray[np.int64] = numbers.astype(np.int64)
    return whole


def _divides_rows(cells: NDArray[Any]) -> bool:
    """Whether each cell is the name of a split, and one of them is train."""
    if cells.dtype != object or not len(cells) or not isinstance(cells[0], str) or not split_of(cells[0]):
        return False
    distinct = set(cells.tolist())
    splits = {split_of(cell) if isinstance(cell, str) else "" for cell in distinct}
    return "" not in splits and "train" in splits and len(splits) > 1
