"""Gaussians on a ring or a grid: their modes are where the bundle says, in the units of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlexp.data.columns import tensor_of
from dlexp.data.sources.points.gaussians import draw_gaussians, gaussians, grid_centers, ring_centers
from dlexp.data.tables.original_units import original_columns


@pytest.mark.parametrize(("arrangement", "count"), [("ring", 8), ("grid", 25)])
def test_every_point_is_near_the_mode_of_its_class(arrangement: str, count: int) -> None:
    bundle = gaussians(arrangement=arrangement, num_samples=1000)
    assert bundle.modes is not None and bundle.modes.centers.shape == (count, 2)
    for split in bundle.splits.values():
        columns = original_columns(tensor_of(split.inputs).numpy(), bundle.preprocessing)
        points = np.stack([np.asarray(columns[name]) for name in ("x", "y")], axis=1)
        centers = bundle.modes.centers[tensor_of(split.targets).numpy()]
        deviations = (points - centers) / bundle.modes.std
        assert np.linalg.norm(deviations, axis=1).max() < 5.5
        assert deviations.std() == pytest.approx(1, abs=0.15)
    assert set(np.bincount(tensor_of(bundle.splits["train"].targets).numpy())) <= {27, 28, 29, 87, 88}


def test_more_points_leave_the_first_ones_as_they_are() -> None:
    few, many = (draw_gaussians(ring_centers(8), 0.1, number, seed=3)[0] for number in (50, 70))
    assert np.array_equal(few, many[:50])
    assert not np.array_equal(few, draw_gaussians(ring_centers(8), 0.1, 50, seed=4)[0])


def test_the_centers() -> None:
    assert np.allclose(ring_centers(4), [[2, 0], [0, 2], [-2, 0], [0, -2]])
    assert sorted(map(tuple, grid_centers(4).tolist())) == [(-1, -1), (-1, 1), (1, -1), (1, 1)]


@pytest.mark.parametrize(
    ("words", "remedy"),
    [({"arrangement": "grid", "num_gaussians": 10}, "data.num_gaussians=9"), ({"mode_std": 0.5}, "data.mode_std=0.2")],
)
def test_what_has_no_modes_is_refused(words: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        gaussians(**words)
