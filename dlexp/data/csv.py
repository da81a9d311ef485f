"""A user's own CSV file: numbers, categories, missing cells; every refusal names file, line and column.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.data.cells import Cells, Wanted, table_of
from dlexp.data.find import check_file
from dlexp.errors import DataError

__all__ = ["csv", "target_kind"]


def csv(
    *,
    path: str,
    target: str,
    target_kind: str = "auto",
    categorical: list[str] | None = None,
    drop: list[str] | None = None,
    keep: list[str] | None = None,
    missing_values: list[str] | None = None,
    max_categories: int = 50,
    separator: str = ",",
    standardize: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> DataBundle:
    """The table in `path`, ready to train on `target`; see `dlexp.data.cells.table_of`.

    Raises DataError for everything in the file that cannot be trained on.
    """
    cells = _read(Path(path), separator, missing_values or [])
    split = (val_fraction, test_fraction, split_seed)
    return table_of(
        cells,
        Wanted(target, target_kind, categorical or [], drop or [], max_categories, standardize, split, keep or []),
    )


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`, as told by data.target_kind or seen in the column that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    cells = _read(Path(arguments["path"]), arguments["separator"], arguments["missing_values"])
    cells.check_names([arguments["target"]], "data.target")
    return cells.kind_of(arguments["target"])


def _read(file: Path, separator: str, missing_values: list[str]) -> Cells:
    """The cells as text, and the line of each row in the file."""
    import pandas as pd

    check_file(file)
    try:
        table = pd.read_csv(
            file, sep=separator, dtype=str, header=None, keep_default_na=False, na_filter=False,
            skip_blank_lines=False, encoding="utf-8-sig", engine="c",
        )  # fmt: skip
    except UnicodeDecodeError as error:
        raise DataError(f"is not UTF-8 text ({error.reason} at byte {error.start})", file=file) from error
    except pd.errors.EmptyDataError as error:
        raise DataError("is empty", file=file) from error
    except (pd.errors.ParserError, ValueError) as error:
        reason = str(error).replace("Error tokenizing data. C error: ", "").strip()
        raise DataError(f"is no table: {reason}", file=file, remedy="check the quotes and data.separator") from error
    header = [str(name).strip() for name in table.iloc[0]]
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise DataError(f"the header names {', '.join(map(repr, doubled))} more than once", file=file, row=1)
    if len(header) == 1:
        remedy = "is the separator another one? set data.separator, such as ';'"
        raise DataError(f"has a single column, {header[0]!r}", file=file, row=1, remedy=remedy)
    empty = {"", *missing_values}
    raw = table.to_numpy(dtype=object)  # in a column of pandas' own text type a None would turn back into NaN
    body = np.array([[text_in(cell, empty) for cell in row] for row in raw[1:]], dtype=object)
    filled = np.array([any(cell is not None for cell in row) for row in body], dtype=bool)
    if not filled.any():
        raise DataError("has a header and no rows", file=file)
    breaks = np.array([sum(str(cell).count("\n") for cell in row) for row in raw])  # a quoted cell may span lines
    lines = (np.arange(1, len(raw) + 1) + np.cumsum(breaks) - breaks)[1:][filled]
    return Cells(file, {name: body[filled, number] for number, name in enumerate(header)}, lines)


def text_in(cell: object, empty: set[str]) -> str | None:
    """The text of a cell, None for a missing one; pandas fills a line that is too short with a float NaN."""
    text = cell.strip() if isinstance(cell, str) else ""
    return None if text in empty else text
