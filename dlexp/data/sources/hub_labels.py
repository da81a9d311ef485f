"""Labels of the parts of a Hugging Face data set, matched by the names of the classes.

Every part has a list of class names of its own, and its numbers are positions in that list: number 0 of the test part
need not be class 0 of the training part.

Symbols: N samples of all parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.errors import DataError

_NO_LABEL = -1  # of a ClassLabel, in parts whose labels are not public
_SCALARS = (str, int, float, bool)
_NAMED = 5  # classes that an error names

Labels = list[Any]  # texts, numbers or booleans as they are in the table, or names of classes; None for a missing one


def labels_by_name(
    parts: Mapping[str, Any], column: str, where: str
) -> tuple[NDArray[np.int64], tuple[str, ...], list[str]]:
    """((N,) class number of each sample, class names, parts without labels), part after part.

    parts  train, val and test, as far as they are there, or "" for all samples
    The classes are those of the training part, in its order; of a column without class names all values that occur.
    Raises DataError for a sample without a label, for values that are no classes, and for a class of another part that
    the training part lacks.
    """
    values = {part: _values(found, column, part, where) for part, found in parts.items()}
    unlabelled = [part for part, some in values.items() if part in ("val", "test") and all(v is None for v in some)]
    kept = {part: some for part, some in values.items() if part not in unlabelled}
    for part, some in kept.items():
        if None in some:
            raise DataError(f"sample {some.index(None)}{_of(part)} has no label", file=where, column=column)
    first = next(iter(kept))
    names = getattr(parts[first].features[column], "names", None)
    classes = _distinct(kept, column, where) if names is None else list(names)
    number_of = {str(name): number for number, name in enumerate(classes)}
    for part, some in kept.items():
        unknown = sorted({str(value) for value in some} - number_of.keys())
        if unknown:
            of_train = f"{_named(list(number_of))}{_of(first)}"
            rule = f"unknown class {_named(unknown)}{_of(part)}; the classes are {of_train}"
            raise DataError(rule, file=where, column=column, remedy=f"leave those samples out, or add them{_to(first)}")
    numbers = [number_of[str(value)] for some in kept.values() for value in some]
    return np.array(numbers, dtype=np.int64), tuple(number_of), unlabelled


def _values(found: Any, column: str, part: str, where: str) -> Labels:
    """The labels of a part: the names of the classes where it has such. Raises DataError."""
    if column not in found.features:
        remedy = f"it has {', '.join(found.features)}"
        raise DataError(
            f"has no column {column!r}{_of(part)} (data.label_column)", file=where, remedy=remedy, code="not-found"
        )
    raw = found.with_format("arrow")[:].column(column).to_pylist()
    names = getattr(found.features[column], "names", None)
    wrong = next((value for value in raw if value is not None and not isinstance(value, _SCALARS)), None)
    if wrong is not None:
        rule = f"holds values of type {type(wrong).__name__}{_of(part)}, which are no classes"
        remedy = "give one class number or name for each sample; of one-hot rows it is argmax"
        raise DataError(rule, file=where, column=column, remedy=remedy, code="invalid-type")
    if names is None:
        return list(raw)
    outside = next((v for v in raw if v is not None and not _NO_LABEL <= v < len(names)), None)
    if outside is not None:
        rule = f"holds class number {outside}{_of(part)}, and {len(names)} classes have names"
        raise DataError(rule, file=where, column=column)
    return [None if value is None or value == _NO_LABEL else names[value] for value in raw]


def _distinct(kept: Mapping[str, Labels], column: str, where: str) -> Labels:
    """The values that occur, in order. Raises DataError for values that are no classes."""
    values = [value for some in kept.values() for value in some]
    found = set(values)
    if len({isinstance(value, str) for value in found}) > 1:
        raise DataError("holds texts in one part and numbers in another", file=where, column=column)
    classes = sorted(found)
    if len(classes) < 2 or len(classes) > len(values) // 2 or any(isinstance(value, float) for value in classes):
        rule = f"holds {len(classes)} different values in {len(values)} samples, which are no classes"
        raise DataError(rule, file=where, column=column, remedy="set data.label_column")
    return classes


def _named(names: list[str]) -> str:
    more = f", ... ({len(names):,})" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _of(part: str) -> str:
    return f" in part {part}" if part else ""


def _to(part: str) -> str:
    return f" to part {part}" if part else ""
