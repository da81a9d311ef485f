"""Classes that count as anomalies: no training or validation sample has one, and the test split keeps its own.

Symbols: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.splitting import Rows
from dlexp.errors import ConfigError, DataError
from dlexp.findings import counted
from dlexp.kinds import describe_kind
from dlexp.specs import ClassSpec
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import setting

KEY = "data.anomalies"
_PARTS = ("train", "val")
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
            raise ConfigError.one(KEY, _shown(given), rule, f"Set {setting(KEY, [near])}", code="unknown-value")
    if len(found) == len(names):
        rule = "are all classes of the data: none is left to learn from"
        remedy = f"Set {setting(KEY, [names[-1]])}"
        raise ConfigError.one(KEY, _shown(given), rule, remedy, code="invalid-value")
    return tuple(sorted(found))


def normal_rows(
    rows: tuple[Rows, Rows, Rows], labels: NDArray[Any], names: Sequence[str], anomalies: Sequence[str]
) -> tuple[Rows, Rows, Rows]:
    """Rows of train, val and test, those of train and val without anomalies; for sources that measure columns.

    Args:
        rows: Of train, val and test.
        labels: (N,) class numbers; ignored without `names`.
        names: Of the classes, () for data without classes.
        anomalies: `data.anomalies`.
    """
    if not anomalies or not names:
        return rows
    numbers = anomaly_numbers(anomalies, names)
    train, val = (part[~np.isin(labels[part], numbers)] for part in rows[:2])
    _refuse_empty({"train": len(train), "val": len(val)})
    return train, val, rows[2]


def without_anomalies(bundle: DataBundle, anomalies: Sequence[str]) -> DataBundle:
    """`bundle` whose spec says which classes are anomalies, and whose training and validation split have none of them.

    Raises ConfigError for data without classes or read while they are used, and for classes that `anomaly_numbers`
    refuses; DataError for a split without samples.
    """
    if not anomalies:
        return bundle
    targets = bundle.spec.targets
    if not isinstance(targets, ClassSpec):
        rule = f"requires classes; the data has {describe_kind(bundle.spec.target_kind)}"
        raise ConfigError.one(KEY, _shown(anomalies), rule, "Set data.anomalies=[]", code="incompatible-data")
    if bundle.is_streamed:
        rule = "not supported with samples that are read while they are used"
        raise ConfigError.one(KEY, _shown(anomalies), rule, "Set data.in_memory=true", code="not-supported")
    numbers = anomaly_numbers(anomalies, targets.names)
    is_anomaly = {
        name: np.isin(tensor_of(split.targets).cpu().numpy(), numbers) for name, split in bundle.splits.items()
    }
    _refuse_empty({name: int((~is_anomaly[name]).sum()) for name in _PARTS})
    for name in _PARTS:
        if is_anomaly[name].any():
            bundle = bundle.with_split_subset(name, torch.from_numpy(np.flatnonzero(~is_anomaly[name])))
    here, total = int(is_anomaly["test"].sum()), len(is_anomaly["test"])
    shown = ", ".join(targets.names[number] for number in numbers)
    share = f"{counted(here, 'anomaly', 'anomalies')} among its {counted(total, 'sample')}"
    note = f"anomalies: {shown}; train and val have none of them, test has {share}"
    spec = replace(bundle.spec, targets=replace(targets, anomalies=numbers))
    return replace(bundle, spec=spec, notes=(*bundle.notes, note))


def _refuse_empty(counts: dict[str, int]) -> None:
    for name, count in counts.items():
        if not count:
            rule = f"{name} has no sample that is no anomaly"
            raise DataError(rule, remedy="Name fewer classes in data.anomalies.", code="too-few-samples")


def _shown(given: Sequence[str]) -> str:
    return f"[{', '.join(given)}]"
