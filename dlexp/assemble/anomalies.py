"""Data whose classes are in part anomalies: no training or validation sample has one, the test split keeps its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.splits.anomalies import KEY, anomaly_numbers, refuse_empty, shown_list
from dlexp.errors import ConfigError
from dlexp.findings import counted
from dlexp.kinds import describe_kind
from dlexp.specs import ClassSpec

_PARTS = ("train", "val")


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
        raise ConfigError.one(KEY, shown_list(anomalies), rule, "Set data.anomalies=[]", code="incompatible-data")
    if bundle.is_streamed:
        rule = "not supported with samples that are read while they are used"
        raise ConfigError.one(KEY, shown_list(anomalies), rule, "Set data.in_memory=true", code="not-supported")
    numbers = anomaly_numbers(anomalies, targets.names)
    is_anomaly = {
        name: np.isin(tensor_of(split.targets).cpu().numpy(), numbers) for name, split in bundle.splits.items()
    }
    refuse_empty({name: int((~is_anomaly[name]).sum()) for name in _PARTS})
    for name in _PARTS:
        if is_anomaly[name].any():
            bundle = bundle.with_split_subset(name, torch.from_numpy(np.flatnonzero(~is_anomaly[name])))
    here, total = int(is_anomaly["test"].sum()), len(is_anomaly["test"])
    shown = ", ".join(targets.names[number] for number in numbers)
    share = f"{counted(here, 'anomaly', 'anomalies')} among its {counted(total, 'sample')}"
    note = f"anomalies: {shown}; train and val have none of them, test has {share}"
    spec = replace(bundle.spec, targets=replace(targets, anomalies=numbers))
    return replace(bundle, spec=spec, notes=(*bundle.notes, note))
