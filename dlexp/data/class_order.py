"""Targets of one data set, numbered as the classes of another are: matched by name.

Symbols: N samples of a split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from dlexp.data.bundle import DataBundle, Split
from dlexp.errors import DataError

_NAMED = 5  # classes that an error names


def with_classes(bundle: DataBundle, names: Sequence[str], whose: str) -> DataBundle:
    """`bundle` with the classes `names`, in their order.

    whose  what the classes are those of, for the error
    Raises DataError for samples of a class that is not among `names`.
    """
    own = bundle.spec.class_names
    if tuple(names) == own:
        return bundle
    number_of = {name: number for number, name in enumerate(names)}
    present = {number for split in bundle.splits.values() for number in split.targets.unique().tolist()}
    unknown = [name for number, name in enumerate(own) if name not in number_of and number in present]
    if unknown:
        rule = f"unknown class {_listed(unknown)}; {whose} has the classes {_listed(names)}"
        raise DataError(rule, remedy="leave those samples out, or use a run that was trained on them")
    numbers = torch.tensor([number_of.get(name, 0) for name in own], dtype=torch.int64)
    return replace(
        bundle,
        spec=replace(bundle.spec, class_names=tuple(names), num_outputs=len(names), class_counts=()),
        splits=_renumbered(bundle.splits, numbers),
    )


def _renumbered(splits: Mapping[str, Split], numbers: torch.Tensor) -> dict[str, Split]:
    """numbers  (own classes,) int64: what each class number becomes"""
    return {name: replace(split, targets=numbers[split.targets]) for name, split in splits.items()}


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names):,})" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
