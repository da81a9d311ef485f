"""Classes that count as anomalies, and the rows without them.

Symbols: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.splitting import Rows
from dlexp.errors import ConfigError, DataError
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import setting

KEY = "data.anomalies"
_NAMED = 20  # classes that an error lists


def anomaly_numbers(given: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    """The numbers of the classes `given` by name or number, in increasing order.

    A whole number is the class of that name where there is one, else the class of that number.
    Raises ConfigError for an unknown class, and for all classes.
    """
    found = set()
    for one in given:
        if one in names:
            found.add(list(names).index(one))
        elif one.isdecimal() and int(one) < len(names):
            found.add(int(one))
        else:
            more = f", ... ({len(names):,} in all)" if len(names) > _NAMED else ""
            rule = f"{one!r} is no class of the data; the classes are {', '.join(names[:_NAMED])}{more}"
            near = nearest_name(one, names) or names[-1]
            raise ConfigError.one(KEY, shown_list(given), rule, f"Set {setting(KEY, [near])}", code="unknown-value")
    if len(found) == len(names):
        rule = "are all classes of the data: none is left to learn from"
        remedy = f"Set {setting(KEY, [names[-1]])}"
        raise ConfigError.one(KEY, shown_list(given), rule, remedy, code="invalid-value")
    return tuple(sorted(found))


def normal_rows(
    rows: tuple[Rows, Rows, Rows], labels: NDArray[Any] | None, names: Sequence[str], anomalies: Sequence[str]
) -> tuple[Rows, Rows, Rows]:
    """Rows of train, val and test, those of train and val without anomalies; for sources that measure columns.

    Args:
        rows: Of train, val and test.
        labels: (N,) class numbers; ignored without `names`.
        names: Of the classes, () for data without classes.
        anomalies: `data.anomalies`.
    """
    if not anomalies or not names or labels is None:
        return rows
    numbers = anomaly_numbers(anomalies, names)
    train, val = (part[~np.isin(labels[part], numbers)] for part in rows[:2])
    refuse_empty({"train": len(train), "val": len(val)})
    return train, val, rows[2]


def refuse_empty(counts: dict[str, int]) -> None:
    """Raise DataError for a split, by name, without a sample that is no anomaly."""
    for name, count in counts.items():
        if not count:
            rule = f"{name} has no sample that is no anomaly"
            raise DataError(rule, remedy="Name fewer classes in data.anomalies.", code="too-few-samples")


def shown_list(given: Sequence[str]) -> str:
    """`data.anomalies` as it is typed."""
    return f"[{', '.join(given)}]"
