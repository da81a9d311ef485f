"""Groups, times and split names of samples that come as arrays, not as cells of a table.

Symbols: N samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.split_names import standard_split
from dlexp.data.splits.division import RowKeys, SplitBy
from dlexp.errors import DataError
from dlexp.findings import counted

_NAMED = 5  # values named in an error


def keys_of_samples(by: SplitBy, values: Mapping[str, NDArray[Any]], parts: NDArray[np.str_] | None) -> RowKeys:
    """What divides samples.

    Args:
        by: Which array or column has the groups, the times and the split names.
        values: Key (group, time, split_column) -> (N,) numbers, texts, or moments.
        parts: (N,) the split that the source gives to each sample, None if it gives none.

    Raises DataError for values of another kind, and for missing ones.
    """
    found: dict[str, Any] = {"parts": parts}
    for key, name in by.keys.items():
        given = values[key]
        if given.ndim != 1:
            rule = f"must have one value per sample (data.{key}), got shape {given.shape}"
            raise DataError(rule, column=name, code="invalid-type")
        given = _plain(given)
        missing = np.flatnonzero(_missing(given))
        if len(missing):
            rule = f"{counted(len(missing), 'sample has', 'samples have')} no value, the first is sample {missing[0]}"
            raise DataError(rule, column=name, remedy="Fill it in, or remove these samples.")
        if key == "group":
            names, numbers = np.unique(given.astype(str) if given.dtype == object else given, return_inverse=True)
            found |= {"groups": numbers.astype(np.int64), "group_names": tuple(map(str, names.tolist()))}
        elif key == "time":
            if given.dtype.kind not in "biufM":
                rule = f"must be numbers or dates (data.time), got {given.tolist()[0]!r}"
                raise DataError(rule, column=name, remedy="Set another data.time.", code="invalid-type")
            found["times"] = given if given.dtype.kind == "M" else given.astype(np.float64)
        else:
            found["parts"] = _parts(given, name, parts)
    return RowKeys(**found)


def _plain(given: NDArray[Any]) -> NDArray[Any]:
    """Moments of Python's datetime as those of NumPy."""
    if given.dtype == object and len(given) and all(isinstance(one, date | datetime) for one in given):
        if any(getattr(one, "tzinfo", None) for one in given):
            given = np.array([one.timestamp() * 1e6 for one in given])
            return given.astype("datetime64[us]")
        return given.astype("datetime64[us]")
    return given


def _missing(given: NDArray[Any]) -> NDArray[np.bool_]:
    if given.dtype.kind == "f":
        return np.asarray(np.isnan(given))
    if given.dtype.kind == "M":
        return np.asarray(np.isnat(given))
    if given.dtype == object:
        return np.array([one is None or one == "" or one != one for one in given], dtype=np.bool_)
    return np.zeros(len(given), dtype=np.bool_)


def _parts(given: NDArray[Any], name: str, parts: NDArray[np.str_] | None) -> NDArray[np.str_]:
    """The standard names of splits."""
    if parts is not None:
        rule = "cannot divide samples that are divided already (data.split_column)"
        raise DataError(rule, column=name, remedy="Remove data.split_column.", code="cannot-combine")
    texts = [str(one) for one in given.tolist()]
    known = {text: standard_split(text) for text in dict.fromkeys(texts)}
    unknown = [text for text, split in known.items() if not split]
    if unknown:
        shown = ", ".join(map(repr, unknown[:_NAMED])) + (", ..." if len(unknown) > _NAMED else "")
        rule = f"{shown} {'names' if len(unknown) == 1 else 'name'} no split"
        remedy = "Use train, val and test, or another of their usual names, such as training, dev, valid."
        raise DataError(rule, column=name, remedy=remedy, code="unknown-value")
    return np.array([known[text] for text in texts])
