"""Renumbering of targets to the class order of another data set, by class name.

Symbols: N samples of a split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from dlexp.data.bundle import DataBundle, Split
from dlexp.data.columns import Dense, tensor_of
from dlexp.errors import DataError
from dlexp.specs import ClassSpec

_NAMED = 5  # classes shown in an error


def with_classes(bundle: DataBundle, names: Sequence[str], whose: str) -> DataBundle:
    """`bundle` with the classes `names`, in their order.

    whose  the owner of the classes, for the error message
    Raises DataError for samples of a class not in `names`.
    """
    if not isinstance(bundle.spec.targets, ClassSpec) or tuple(names) == bundle.spec.targets.names:
        return bundle
    own = bundle.spec.targets.names
    number_of = {name: number for number, name in enumerate(names)}
    present = {number for split in bundle.splits.values() for number in tensor_of(split.targets).unique().tolist()}
    unknown = [name for number, name in enumerate(own) if name not in number_of and number in present]
    if unknown:
        rule = f"unknown class {_listed(unknown)}; {whose} has the classes {_listed(names)}"
        remedy = "Remove these samples, or use a run that was trained on them."
        raise DataError(rule, remedy=remedy, code="incompatible-data")
    numbers = torch.tensor([number_of.get(name, 0) for name in own], dtype=torch.int64)
    return replace(
        bundle,
        spec=replace(bundle.spec, targets=ClassSpec(tuple(names))),
        splits=_renumbered(bundle.splits, numbers),
    )


def _renumbered(splits: Mapping[str, Split], numbers: torch.Tensor) -> dict[str, Split]:
    """The splits with new class numbers; numbers (own classes,) int64 maps old to new."""
    return {name: replace(split, targets=Dense(numbers[tensor_of(split.targets)])) for name, split in splits.items()}


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names):,})" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
