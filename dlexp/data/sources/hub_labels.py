"""Labels of the parts of a Hugging Face data set, matched by class name.

Every part has its own list of class names, and its labels are positions in that list, so that number 0 of the test part
may be another class than number 0 of the training part.

Symbols: N samples of all parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.errors import DataError

_NO_LABEL = -1  # of a ClassLabel without a public label
_SCALARS = (str, int, float, bool)
_NAMED = 5  # classes shown in an error

Labels = list[Any]  # values of the table, or names of classes; None for a missing one


def labels_by_name(
    parts: Mapping[str, Any], column: str, where: str
) -> tuple[NDArray[np.int64], tuple[str, ...], list[str]]:
    """((N,) class number of each sample, class names, parts without labels), part after part.

    parts  train, val and test, if present, or "" for all samples
    The classes are those of the training part, in its order; for a column without class names, all values that occur.
    Raises DataError for a sample without label, for invalid values, and for a class that the training part lacks.
    """
    values = {part: _values(found, column, part, where) for part, found in parts.items()}
    unlabeled = [part for part, some in values.items() if part in ("val", "test") and all(v is None for v in some)]
    labeled = {part: some for part, some in values.items() if part not in unlabeled}
    for part, some in labeled.items():
        if None in some:
            raise DataError(f"sample {some.index(None)}{_of(part)} has no label", file=where, column=column)
    first = next(iter(labeled))
    names = getattr(parts[first].features[column], "names", None)
    classes = _distinct(labeled, column, where) if names is None else list(names)
    number_of = {str(name): number for number, name in enumerate(classes)}
    for part, some in labeled.items():
        unknown = sorted({str(value) for value in some} - number_of.keys())
        if unknown:
            of_train = f"{_named(list(number_of))}{_of(first)}"
            rule = f"unknown class {_named(unknown)}{_of(part)}; available: {of_train}"
            raise DataError(
                rule, file=where, column=column, remedy=f"Remove these samples, or add the class{_to(first)}."
            )
    numbers = [number_of[str(value)] for some in labeled.values() for value in some]
    return np.array(numbers, dtype=np.int64), tuple(number_of), unlabeled


def _values(found: Any, column: str, part: str, where: str) -> Labels:
    """The labels of a part, as class names if it has them. Raises DataError."""
    if column not in found.features:
        remedy = f"Available: {', '.join(found.features)}"
        raise DataError(
            f"column {column!r}{_of(part)} (data.label_column) not found", file=where, remedy=remedy, code="not-found"
        )
    raw = found.with_format("arrow")[:].column(column).to_pylist()
    names = getattr(found.features[column], "names", None)
    wrong = next((value for value in raw if value is not None and not isinstance(value, _SCALARS)), None)
    if wrong is not None:
        rule = f"must hold classes, got {type(wrong).__name__}{_of(part)}"
        remedy = "Use one class number or name per sample, such as the argmax of one-hot rows."
        raise DataError(rule, file=where, column=column, remedy=remedy, code="invalid-type")
    if names is None:
        return list(raw)
    outside = next((v for v in raw if v is not None and not _NO_LABEL <= v < len(names)), None)
    if outside is not None:
        rule = f"has class number {outside}{_of(part)}, but only {len(names)} class names"
        raise DataError(rule, file=where, column=column)
    return [None if value is None or value == _NO_LABEL else names[value] for value in raw]


def _distinct(labeled: Mapping[str, Labels], column: str, where: str) -> Labels:
    """The distinct values, sorted. Raises DataError if they are not classes."""
    values = [value for some in labeled.values() for value in some]
    found = set(values)
    if len({isinstance(value, str) for value in found}) > 1:
        raise DataError("has texts in one part and numbers in another", file=where, column=column)
    classes = sorted(found)
    if len(classes) < 2 or len(classes) > len(values) // 2 or any(isinstance(value, float) for value in classes):
        rule = f"is not a column of classes: {len(classes)} different values in {len(values)} samples"
        raise DataError(rule, file=where, column=column, remedy="Set data.label_column.")
    return classes


def _named(names: list[str]) -> str:
    more = f", ... ({len(names):,})" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _of(part: str) -> str:
    return f" in part {part}" if part else ""


def _to(part: str) -> str:
    return f" to part {part}" if part else ""
