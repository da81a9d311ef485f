"""Shapes, textures and backdrops for synthetic images, as functions of coordinates.

Symbols: n images, H and W height and width in pixels.
Coordinates are (n, H, W) arrays: `u`, `v` in the frame of the shape, which extends from -1 to 1;
`x`, `y` in the image, in pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]


def _triangle(u: Plane, v: Plane) -> Mask:
    return (v > -0.6) & (v < 1 - 1.9 * np.abs(u))


def _cross(u: Plane, v: Plane) -> Mask:
    across, along = np.minimum(np.abs(u), np.abs(v)), np.maximum(np.abs(u), np.abs(v))
    return (across < 0.28) & (along < 0.95)


def _square(u: Plane, v: Plane) -> Mask:
    return np.maximum(np.abs(u), np.abs(v)) < 0.75


def _frame(u: Plane, v: Plane) -> Mask:
    reach = np.maximum(np.abs(u), np.abs(v))
    return (reach < 0.8) & (reach > 0.45)


def _ring(u: Plane, v: Plane) -> Mask:
    squared = u * u + v * v
    return (squared < 0.9) & (squared > 0.3)


def _crescent(u: Plane, v: Plane) -> Mask:
    return (u * u + v * v < 0.9) & ((u - 0.5) ** 2 + v * v > 0.55)


def _stripes(u: Plane, v: Plane) -> Mask:
    return np.asarray((np.abs(u) < 0.85) & (np.abs(v) < 0.9) & (np.abs(u * 3.4) % 2 < 1))


def _pair(u: Plane, v: Plane) -> Mask:
    return (np.abs(u) - 0.55) ** 2 + v * v < 0.18


# The shapes differ at any rotation, and a flipped shape is a rotated one: a flip keeps the class.
SHAPES: dict[str, Callable[[Plane, Plane], Mask]] = {
    "disc": lambda u, v: u * u + v * v < 0.75,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "ring": _ring,
    "stripes": _stripes,
    "crescent": _crescent,
    "bar": lambda u, v: (np.abs(u) < 0.95) & (np.abs(v) < 0.28),
    "frame": _frame,
    "pair": _pair,
}


def _every_other(t: Plane, period: float) -> Plane:
    return np.asarray(np.floor(t * (2 / period)) % 2, dtype=np.float32)


# Brightness within a shape and behind it, from 0 to 1; each is symmetric under flips.
TEXTURES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "plain": lambda x, y: np.ones_like(x),
    "lying lines": lambda x, y: _every_other(y, 4),
    "standing lines": lambda x, y: _every_other(x, 4),
    "small squares": lambda x, y: np.abs(_every_other(x, 4) - _every_other(y, 4)),
    "dots": lambda x, y: 1 - _every_other(x, 4) * _every_other(y, 4),
    "wide lying lines": lambda x, y: _every_other(y, 8),
    "wide standing lines": lambda x, y: _every_other(x, 8),
    "large squares": lambda x, y: np.abs(_every_other(x, 8) - _every_other(y, 8)),
}
BACKDROPS: dict[str, Callable[[Plane, Plane], Plane]] = {
    "plain": lambda x, y: np.zeros_like(x),
    "wide lying lines": lambda x, y: _every_other(y, 10),
    "wide standing lines": lambda x, y: _every_other(x, 10),
    "large squares": lambda x, y: np.abs(_every_other(x, 10) - _every_other(y, 10)),
}
