"""Pictures of samples: grids of images, points of two columns of a table; nothing for other data.

Symbols: N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from dlexp.specs import ImageSpec
from dlexp.workflows.sample.own_units import Array, OwnUnits
from dlexp.workflows.sample.plan import SamplePlan
from dlexp.workflows.sample.request import MOST_TILES

BESIDE = ("original", "reconstruction")


def sample_picture(units: OwnUnits, values: Array, plan: SamplePlan, title: str) -> Callable[[], bytes] | None:
    """What draws samples (N, *shape) in the units of the data; None where they have no picture."""
    shares = units.shares(values[: most_shown(plan)])
    if shares is None:
        return _points(units, values, plan, title)
    labels = plan.row_labels
    if plan.originals is not None:
        before = units.shares(plan.originals[: len(shares)])
        assert before is not None
        shares, labels = _beside(before, shares, plan.columns)

    def draw() -> bytes:
        from dlexp.report.figures.generated.grid import grid_png

        return grid_png(shares, plan.columns, title=title, column_labels=plan.column_labels, row_labels=labels)

    return draw


def has_picture(units: OwnUnits) -> bool:
    """Whether samples of this data have a picture: images of 1 or 3 channels, tables with two number columns."""
    shape = units.spec.inputs.shape
    if units.is_table:
        return len(units.limits()) > 1
    return len(shape) == 3 and units.shares(np.zeros((1, *shape))) is not None


def picture_problem(units: OwnUnits) -> str:
    """Why samples of this data have no picture, "" where they have one."""
    if has_picture(units):
        return ""
    if units.is_table:
        return "no picture: it shows two columns of numbers, and the table has " + ("one" if units.limits() else "none")
    if isinstance(units.spec.inputs, ImageSpec):
        return f"no picture: images of {units.spec.inputs.channels} channels are not drawn, those of 1 or 3 are"
    return "no picture: only images and tables are drawn"


def most_shown(plan: SamplePlan) -> int:
    """How many samples a picture shows: whole rows, and at most 1024 tiles."""
    tiles = MOST_TILES // (1 if plan.originals is None else 2)
    return max(1, tiles // plan.columns) * plan.columns


def _beside(
    originals: NDArray[np.float64], made: NDArray[np.float64], columns: int
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Rows of originals, each above the row of what was made of it."""
    rows = -(-len(made) // columns)
    blank = np.ones((rows * columns - len(made), *made.shape[1:]))
    pairs = [np.concatenate([part, blank]).reshape(rows, 1, columns, *made.shape[1:]) for part in (originals, made)]
    return np.concatenate(pairs, axis=1).reshape(-1, *made.shape[1:]), BESIDE * rows


def _points(units: OwnUnits, values: Array, plan: SamplePlan, title: str) -> Callable[[], bytes] | None:
    """The first two number columns of a table."""
    limits = units.limits()
    if len(limits) < 2:
        return None
    first, second = list(limits)[:2]
    groups = _groups(plan, len(values))
    parts = [values] if plan.originals is None else [plan.originals, values]
    cells = [units.columns(part) for part in parts]
    points = np.concatenate([np.stack([np.asarray(c[first]), np.asarray(c[second])], axis=1) for c in cells])

    def draw() -> bytes:
        from dlexp.report.figures.generated.points import points_png

        both = limits[first], limits[second]
        return points_png(points, (first, second), both, groups=groups, title=title)

    return draw


def _groups(plan: SamplePlan, count: int) -> Sequence[str]:
    if plan.originals is not None:
        return [name for name in BESIDE for _ in range(count)]
    if len(plan.shape) > 1 and plan.row_labels:
        return [label for label in plan.row_labels for _ in range(prod(plan.shape[1:]))]
    classes: Sequence[str] = plan.facts.get("classes", ())
    return classes
