"""How often each class occurs.

Symbols: C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dlexp.data.bundle import DataBundle, with_counts
from dlexp.specs import ClassSpec


@dataclass(frozen=True)
class ClassBalance:
    """Counts of classes.

    Attributes:
        counts: C numbers of training samples.
        ratio: Largest by smallest count above 0.
        effective: Number of equally frequent classes with the same entropy, in [1, C].
        absent: Class numbers without a training sample.
    """

    counts: tuple[int, ...]
    ratio: float
    effective: float
    absent: tuple[int, ...]


def class_balance(counts: Sequence[int]) -> ClassBalance:
    """The balance of classes with C `counts`, of which one at least is above 0."""
    numbers = np.array(counts, dtype=np.float64)
    some = numbers[numbers > 0]
    shares = some / some.sum()
    effective = float(np.exp(-(shares * np.log(shares)).sum()))
    absent = tuple(int(number) for number in np.flatnonzero(numbers == 0))
    return ClassBalance(tuple(map(int, counts)), float(some.max() / some.min()), effective, absent)


def class_counts(bundle: DataBundle, split: str) -> tuple[int, ...]:
    """The samples of each of C classes in a split of data with classes: C."""
    targets = bundle.spec.targets
    assert isinstance(targets, ClassSpec)
    empty = replace(bundle, spec=replace(bundle.spec, targets=replace(targets, counts=())))
    counted = with_counts(replace(empty, splits={**bundle.splits, "train": bundle.splits[split]})).spec.targets
    assert isinstance(counted, ClassSpec)
    return counted.counts
