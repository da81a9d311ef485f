"""How often each class occurs in training.

Symbols: C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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
