"""What a run keeps of its data, and what advice on data reads of a bundle and of the networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dlexp.config.check.data_advice import DataFacts
from dlexp.data.bundle import DataBundle
from dlexp.data.columns import Dense, tensor_of
from dlexp.specs import ClassSpec, ImageSpec

_SEES_PLACES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MultiheadAttention)


def describe_data(bundle: DataBundle) -> dict[str, Any]:
    """The content of preprocessing.json: how raw input becomes a network's, and what the network puts out."""
    return {**bundle.preprocessing, "preprocess": bundle.preprocess.to_plain(), "spec": bundle.spec.to_plain()}


def data_facts(bundle: DataBundle, networks: nn.Module) -> DataFacts:
    """The facts of a bundle; the validation samples of each class only if their targets are in memory."""
    inputs, targets = bundle.spec.inputs, bundle.spec.targets
    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    if isinstance(targets, ClassSpec):
        names, val = tuple(targets.names), bundle.splits["val"]
        if isinstance(val.targets, Dense) and len(val):
            found = torch.bincount(tensor_of(val.targets).flatten().long().cpu(), minlength=len(names))
            counts = tuple(found.tolist())
    return DataFacts(
        bundle.sizes(),
        min(inputs.shape[-2:]) if isinstance(inputs, ImageSpec) else 0,
        not any(isinstance(module, _SEES_PLACES) for module in networks.modules()),
        names,
        counts,
    )
