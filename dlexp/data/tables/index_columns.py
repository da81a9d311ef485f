"""Recognition of index columns, which number the rows of a table or name their split; they are not used as features.

An index predicts the target of a table that is sorted by target, and identifies every single row otherwise.

Symbols: N rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.split_names import standard_split

NAMES_SPLITS = "names the split of each row (dlexp draws its own splits)"
_INDEX_NAME = re.compile(r"Unnamed: 0(\.\d+)*|__index_level_\d+__")  # names that pandas gives to an unnamed index
_FEWEST = 40  # rows below which consecutive whole numbers may be a ranking or a step
_LOOKED = 100  # cells that are checked before the whole column


def index_columns(
    columns: Iterable[tuple[str, NDArray[Any]]], kept: Collection[str], declared: Collection[str] = ()
) -> dict[str, str]:
    """Name of each index column -> the reason, as a phrase that follows the name.

    columns   (name, (N,) cells): texts, None for a missing one; or float64 numbers
    kept      columns that the user names, which are always features
    declared  columns that the file declares as its index
    """
    found: dict[str, str] = {}
    for place, (name, cells) in enumerate(columns):
        if name in kept:
            continue
        if place == 0 and not name:
            found[name] = "is the first column and has no name"
        elif name in declared or is_index_name(name):
            found[name] = "is an index"
        elif _numbers_rows(cells):
            found[name] = "numbers the rows"
        elif _names_splits(cells):
            found[name] = NAMES_SPLITS
    return found


def is_index_name(name: str) -> bool:
    """Return whether pandas gives this name to an unnamed index when writing or reading."""
    return _INDEX_NAME.fullmatch(name) is not None


def pandas_index(metadata: Mapping[bytes, bytes] | None) -> tuple[str, ...]:
    """The index columns named by the `pandas` entry in the metadata of an Arrow schema.

    A range index is a dict there, not a column. Format: "Storing pandas DataFrame objects" in the documentation of
    Apache Arrow.
    """
    try:
        described = json.loads((metadata or {}).get(b"pandas", b"{}"))
        return tuple(str(name) for name in described.get("index_columns", ()) if isinstance(name, str))
    except (ValueError, AttributeError, TypeError):
        return ()  # another format under the same name


def _numbers_rows(cells: NDArray[Any]) -> bool:
    """Return whether the cells are 0 to N-1 or 1 to N, in any order."""
    count = len(cells)
    if count < _FEWEST or _whole(cells[:_LOOKED], count) is None:
        return False
    numbers = _whole(cells, count)
    if numbers is None:
        return False
    first = int(numbers.min())
    return first in (0, 1) and bool((np.bincount(numbers - first, minlength=count) == 1).all())


def _whole(cells: NDArray[Any], largest: int) -> NDArray[np.int64] | None:
    """The cells as whole numbers from 0 to `largest`, None if one is not."""
    try:
        numbers = cells.astype(np.float64)
    except (TypeError, ValueError):  # a missing cell, a text
        return None
    if not ((numbers >= 0) & (numbers <= largest) & (numbers == np.floor(numbers))).all():
        return None
    whole: NDArray[np.int64] = numbers.astype(np.int64)
    return whole


def _names_splits(cells: NDArray[Any]) -> bool:
    """Return whether each cell is the name of a split, and one of them is train."""
    if cells.dtype != object or not len(cells) or not isinstance(cells[0], str) or not standard_split(cells[0]):
        return False
    distinct = set(cells.tolist())
    splits = {standard_split(cell) if isinstance(cell, str) else "" for cell in distinct}
    return "" not in splits and "train" in splits and len(splits) > 1
