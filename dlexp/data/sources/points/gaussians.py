"""Gaussians on a circle or a grid, of which every mode is known: the classical test of mode collapse.

Sources: the ring of L. Metz et al., "Unrolled generative adversarial networks", ICLR 2017, arXiv:1611.02163; the grid
of A. Srivastava et al., "VEEGAN", NeurIPS 2017, arXiv:1705.07761.

Symbols: N points, K modes.
"""

from __future__ import annotations

from dataclasses import replace
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle, Modes
from dlexp.data.splitting import split_rows
from dlexp.data.tables.encoding import build_table

__all__ = ["gaussians"]

_RADIUS = 2.0  # of the ring; neighbors on the grid are as far apart
_MODES = {"ring": 8, "grid": 25}
_COLUMNS = ("x", "y")


def gaussians(
    *,
    arrangement: str = "ring",
    num_gaussians: int | None = None,
    mode_std: float = 0.1,
    num_samples: int = 8000,
    data_seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    standardize: bool = True,
) -> DataBundle:
    """Draw points, inputs (2,), as many of each mode; the class of a point is its mode.

    arrangement  ring (radius 2) or grid (neighbors at distance 2, around 0)
    num_gaussians  K, None for 8 on the ring and 25 on the grid; a square number on the grid
    mode_std     standard deviation of each mode in both directions
    data_seed    seed of the drawing only
    Raises ValueError for a number of modes that is no square on the grid, and for modes that overlap.
    """
    count = num_gaussians or _MODES[arrangement]
    centers = ring_centers(count) if arrangement == "ring" else grid_centers(count)
    nearest = np.linalg.norm(centers[0] - centers[1:], axis=1).min()
    if 6 * mode_std > nearest:
        rule = f"mode_std={mode_std:g}: the modes overlap, since neighbors are {nearest:.3g} apart"
        raise ValueError(f"{rule}. Set data.mode_std={nearest / 10:.1g}, or smaller data.num_gaussians")
    points, labels = draw_gaussians(centers, mode_std, num_samples, data_seed)
    names = tuple(f"mode {number}" for number in range(count))
    rows = split_rows(num_samples, (val_fraction, test_fraction, split_seed), labels, names)
    columns = dict(zip(_COLUMNS, points.T, strict=True))
    bundle = build_table(columns, labels, names, (), rows, standardize)
    return replace(bundle, modes=Modes(centers, mode_std))


def draw_gaussians(
    centers: NDArray[np.float64], std: float, count: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(points (N, 2), modes (N,)): point n is a function of n, the centers (K, 2), std and seed; its mode n mod K."""
    labels = np.arange(count, dtype=np.int64) % len(centers)
    drawn = np.random.default_rng(seed).standard_normal((count, centers.shape[1]))
    return centers[labels] + std * drawn, labels


def ring_centers(count: int) -> NDArray[np.float64]:
    """(K, 2), evenly spaced on the circle."""
    angles = 2 * np.pi * np.arange(count) / count
    return _RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def grid_centers(count: int) -> NDArray[np.float64]:
    """(K, 2), the corners of squares around 0. Raises ValueError unless K is a square number."""
    side = isqrt(count)
    if side * side != count:
        raise ValueError(
            f"num_gaussians={count}: must be a square number on a grid. Set data.num_gaussians={max(side, 2) ** 2}"
        )
    line = _RADIUS * (np.arange(side) - (side - 1) / 2)
    return np.stack([axis.ravel() for axis in np.meshgrid(line, line)], axis=1)
