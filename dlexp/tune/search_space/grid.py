"""The points of a finite search space."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from dlexp.errors import ConfigError
from dlexp.tune.search_space.space import Dimension, Space

_MOST = 1_000_000


def grid_points(space: Space, seed: int) -> list[dict[str, Any]]:
    """The parameters of all points, shuffled, so that an unfinished study covers the whole space.

    Raises ConfigError for an infinite space, or one with more than a million points.
    """
    found: list[dict[str, Any]] = []
    for chosen in space.branches():
        axes: dict[str, list[Any]] = {}
        for dimension in space.within(chosen):
            axes |= _values(dimension)
        if len(found) + math.prod(map(len, axes.values())) > _MOST:
            raise ConfigError.one(
                "search.sampler", "grid", f"must have at most {_MOST:,} points", "Use fewer values.", code="too-large"
            )
        found += [{**chosen, **dict(zip(axes, point, strict=True))} for point in product(*axes.values())]
    random.Random(seed).shuffle(found)
    return found


def first_untried(grid: Iterable[Mapping[str, Any]], tried: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The first point that was not tried, None if all were."""
    known = {_key(params) for params in tried}
    return next((dict(point) for point in grid if _key(point) not in known), None)


def _key(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """A key for the comparison of points, with rounded floats: 0.1 + 0.2 equals 0.3."""
    return tuple(sorted((k, f"{v:.12g}" if isinstance(v, float) else repr(v)) for k, v in params.items()))


def _values(dimension: Dimension) -> dict[str, list[Any]]:
    """Parameter name -> its values."""
    low, high = dimension.low, dimension.high
    if dimension.kind == "choice":
        return {dimension.name: dimension.stored}
    if dimension.kind == "repeat":
        length, each = dimension.names
        return {length: list(range(int(low), int(high) + 1)), each: dimension.stored}
    if dimension.kind == "int" and not dimension.log:
        return {dimension.name: list(range(int(low), int(high) + 1, int(dimension.step or 1)))}
    if dimension.step:
        count = int((high - low) / dimension.step + 1e-9) + 1
        return {dimension.name: [low + n * dimension.step for n in range(count)]}
    rule = f"a grid requires finitely many values, but {dimension.path} is a continuous range"
    raise ConfigError.one(
        "search.sampler", "grid", rule, "Use a choice or a step, or set search.sampler=tpe", code="invalid-value"
    )
