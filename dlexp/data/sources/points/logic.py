"""Points at the corners of a square, classified by a logical function of both coordinates.

Symbols: N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.data.splitting import split_rows
from dlexp.data.tables.encoding import build_table

__all__ = ["logic"]

_GATES: Mapping[str, Callable[[int, int], bool]] = {
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
    "xor": lambda a, b: a != b,
}
_NAMES = ("false", "true")


def logic(
    *,
    gate: str = "xor",
    num_samples: int = 40,
    noise: float = 0.05,
    data_seed: int = 0,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    standardize: bool = False,
) -> DataBundle:
    """Draw points (2,) near (0, 0), (0, 1), (1, 0) and (1, 1), in turn, with the classes false and true.

    Args:
        gate: and, or, xor: the function. A line divides the classes of the first two, and none those of xor.
        num_samples: N.
        noise: standard deviation of the normal noise of both coordinates; 0: the four points, again and again.
        data_seed: seed of the noise only.
        val_fraction: share of the validation split.
        test_fraction: share of the test split.
        split_seed: seed of the split.
        standardize: scale both coordinates to mean 0 and standard deviation 1 over the training split.

    Raises ValueError for an unknown gate.
    """
    if gate not in _GATES:
        raise ValueError(f"unknown gate={gate!r}; available: {', '.join(_GATES)}")
    corners = np.array([[number >> 1 & 1, number & 1] for number in range(num_samples)])
    labels = np.array([_GATES[gate](int(a), int(b)) for a, b in corners]).astype(np.int64)
    points = corners + noise * np.random.default_rng(data_seed).standard_normal(corners.shape)
    columns = {name: points[:, number] for number, name in enumerate(("a", "b"))}
    rows = split_rows(num_samples, (val_fraction, test_fraction, split_seed), labels, _NAMES)
    return build_table(columns, labels, _NAMES, (), rows, standardize)
