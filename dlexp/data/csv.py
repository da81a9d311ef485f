"""A user's own CSV file: numbers, categories, missing cells; every refusal names file, line and column.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.split import split_rows
from dlexp.data.tables import Column, build_table
from dlexp.errors import DataError

__all__ = ["csv", "target_kind"]

_MAX_CLASSES_OF_NUMBERS = 20  # whole numbers with no more distinct values than this are taken for classes
_MOSTLY_NUMBERS = 0.9  # a column with this share of numbers is one of numbers, and its other cells are mistakes

_LARGEST = float(np.finfo(np.float32).max)  # the numbers of a network

Cells = dict[str, NDArray[Any]]  # column -> (N,) str objects, None for a missing cell


def csv(
    *,
    path: str,
    target: str,
    target_kind: str = "auto",
    categorical: list[str] | None = None,
    drop: list[str] | None = None,
    missing_values: list[str] | None = None,
    max_categories: int = 50,
    separator: str = ",",
    standardize: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> DataBundle:
    """The table in `path`, ready to train on `target`.

    A missing number becomes the median of the training rows, a missing category none of the categories. Numbers are
    standardised and categories encoded one feature each, both as measured on the training rows.
    Raises DataError for everything in the file that cannot be trained on.
    """
    file = Path(path)
    cells, lines = _read(file, separator, missing_values or [])
    _named(file, cells, [target], "data.target")
    _named(file, cells, drop or [], "data.drop")
    _named(file, cells, categorical or [], "data.categorical")
    kind = _kind_of(cells[target]) if target_kind == "auto" else target_kind
    targets, classes = _targets(file, target, cells[target], lines, kind)
    columns: dict[str, Column] = {}
    notes: list[str] = []
    for name, column in cells.items():
        if name == target or name in (drop or []):
            continue
        encoded = _column(file, name, column, lines, name in (categorical or []), max_categories)
        if len({cell for cell in column if cell is not None}) <= 1:
            notes.append(f"column {name!r} holds one value only and was left out")
        else:
            columns[name] = encoded
    if not columns:
        raise DataError("no column is left to learn from", file=file)
    try:
        rows = split_rows(targets, classes, val_fraction, test_fraction, split_seed)
    except DataError as error:
        raise DataError(str(error), file=file, column=target) from error
    try:
        bundle = build_table(columns, targets, classes, (target,), rows, standardize, tuple(notes))
        # What a file of new rows may hold beside the columns that are read.
        unread = [name for name in cells if name not in columns]
        return replace(bundle, preprocessing={**bundle.preprocessing, "unread": unread})
    except DataError as error:
        raise DataError(str(error), file=file) from error


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`, as told by data.target_kind or seen in the column that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    file = Path(arguments["path"])
    cells, _ = _read(file, arguments["separator"], arguments["missing_values"])
    _named(file, cells, [arguments["target"]], "data.target")
    return _kind_of(cells[arguments["target"]])


def _read(file: Path, separator: str, missing_values: list[str]) -> tuple[Cells, NDArray[np.int64]]:
    """The cells as text, and the line of each row in the file."""
    import pandas as pd

    if not file.is_file():
        near = get_close_matches(
            file.name, [p.name for p in file.parent.glob("*")] if file.parent.is_dir() else [], n=1
        )
        raise DataError("there is no such file", file=file, remedy=f"did you mean {near[0]}?" if near else "")
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
    return {name: body[filled, number] for number, name in enumerate(header)}, lines


def text_in(cell: object, empty: set[str]) -> str | None:
    """The text of a cell, None for a missing one; pandas fills a line that is too short with a float NaN."""
    text = cell.strip() if isinstance(cell, str) else ""
    return None if text in empty else text


def _named(file: Path, cells: Cells, names: list[str], key: str) -> None:
    for name in names:
        if name not in cells:
            near = get_close_matches(name, cells, n=1, cutoff=0.5)
            remedy = f"did you mean {key}={near[0]}?" if near else f"it has {', '.join(cells)}"
            raise DataError(f"has no column {name!r} ({key})", file=file, remedy=remedy)


def number_in(cell: str | None) -> float | None:
    """The number in a cell; None for text and for the words that Python, and no table, reads as numbers."""
    if cell is None or "_" in cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _kind_of(column: NDArray[Any]) -> str:
    numbers = [number_in(cell) for cell in column if cell is not None]
    if any(number is None for number in numbers):
        return "class"
    distinct = {number for number in numbers if number is not None}
    whole = all(number == int(number) for number in distinct)
    return "class" if whole and len(distinct) <= _MAX_CLASSES_OF_NUMBERS else "value"


def _targets(
    file: Path, name: str, column: NDArray[Any], lines: NDArray[np.int64], kind: str
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """((N,) class numbers, class names) or ((N, 1) values, ())."""
    for cell, line in zip(column, lines, strict=True):
        if cell is None:
            remedy = "fill in the cell or delete the line"
            raise DataError("the target is missing", file=file, column=name, row=int(line), remedy=remedy)
        if kind == "value" and number_in(cell) is None:
            remedy = "correct the cell, or set data.target_kind=class"
            raise DataError(
                f"the target {cell!r} is no finite number", file=file, column=name, row=int(line), remedy=remedy
            )
    if kind == "value":
        _refuse_too_large(file, name, column, lines)
        values = np.array([float(cell) for cell in column], dtype=np.float32)[:, None]
        if len(np.unique(values)) == 1:
            raise DataError(f"every row has the target {column[0]}", file=file, column=name)
        return values, ()
    classes = tuple(sorted(set(column), key=lambda cell: (number_in(cell) is None, number_in(cell) or 0.0, cell)))
    if len(classes) == 1:
        raise DataError(
            f"holds one class only, {classes[0]!r}", file=file, column=name, remedy="name another data.target"
        )
    if len(classes) > len(column) // 2:
        rule = f"holds {len(classes)} different classes in {len(column)} rows"
        raise DataError(rule, file=file, column=name, remedy="name another data.target, or set data.target_kind=value")
    numbers = {label: number for number, label in enumerate(classes)}
    return np.array([numbers[cell] for cell in column], dtype=np.int64), classes


def _refuse_too_large(file: Path, name: str, column: NDArray[Any], lines: NDArray[np.int64]) -> None:
    """Raise DataError for a number that would be infinite to a network."""
    for cell, line in zip(column, lines, strict=True):
        if abs(number_in(cell) or 0.0) > _LARGEST:
            remedy = f"correct it, or give the column in another unit (at most {_LARGEST:.1e})"
            raise DataError(f"the number {cell} is too large", file=file, column=name, row=int(line), remedy=remedy)


def _column(
    file: Path, name: str, column: NDArray[Any], lines: NDArray[np.int64], as_category: bool, max_categories: int
) -> Column:
    """(N,) float64 with NaN where a number is missing, or (N,) objects for a category. Raises DataError."""
    present = [(cell, line) for cell, line in zip(column, lines, strict=True) if cell is not None]
    wrong = [(cell, line) for cell, line in present if number_in(cell) is None]
    if not as_category and not wrong:
        _refuse_too_large(file, name, column, lines)
        return np.array([np.nan if cell is None else float(cell) for cell in column], dtype=np.float64)
    if not as_category and len(wrong) <= (1 - _MOSTLY_NUMBERS) * len(present):
        cell, line = wrong[0]
        more = f" and {len(wrong) - 1} more like it" if len(wrong) > 1 else ""
        remedy = f"correct it, or add it to data.missing_values, or set 'data.categorical=[{name}]'"
        raise DataError(f"{cell!r}{more} stands among numbers", file=file, column=name, row=int(line), remedy=remedy)
    distinct = len({cell for cell, _ in present})
    if distinct > max_categories:
        rule = f"holds {distinct} different texts, more than data.max_categories={max_categories}"
        raise DataError(rule, file=file, column=name, remedy=f"leave it out with 'data.drop=[{name}]'")
    return column
