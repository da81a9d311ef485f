"""Two interleaved half circles in the plane: a density of two dimensions that no Gaussian has.

Symbols: N samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.splitting import split_rows
from dlexp.data.tables.encoding import build_table

__all__ = ["two_moons"]

_NAMES = ("upper", "lower")


def two_moons(
    *,
    num_samples: int = 10000,
    noise: float = 0.1,
    data_seed: int = 0,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    standardize: bool = True,
) -> DataBundle:
    """Draw points (2,) of two half circles of radius 1, the lower one moved by (1, 0.5), classes upper and lower.

    The same curves as scikit-learn's `make_moons`, with angles that are drawn and not evenly spaced.

    Args:
        num_samples: N; half of them of each class, one more of the lower for an odd number.
        noise: standard deviation of the normal noise of both coordinates, in radii.
        data_seed: seed of the drawing only.
        val_fraction: share of the validation split.
        test_fraction: share of the test split.
        split_seed: seed of the split.
        standardize: scale both coordinates to mean 0 and standard deviation 1 over the training split.
    """
    points, labels = draw_moons(num_samples, noise, data_seed)
    columns = {name: points[:, number] for number, name in enumerate(("x", "y"))}
    rows = split_rows(num_samples, (val_fraction, test_fraction, split_seed), labels, _NAMES)
    return build_table(columns, labels, _NAMES, (), rows, standardize)


def draw_moons(count: int, noise: float, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(points (N, 2), classes (N,)); classes alternate."""
    rng = np.random.default_rng(seed)
    angles, labels = np.pi * rng.random(count), (np.arange(count) + count % 2) % 2
    upper = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = np.where(labels[:, None] == 0, upper, np.array([1.0, 0.5]) - upper)
    return points + noise * rng.standard_normal((count, 2)), labels
