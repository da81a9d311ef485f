"""Closed forms of `dlexp sample`: paths on a sphere, units of the data, places in a batch, animations."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from dlexp.data.preprocess import Affine, Identity
from dlexp.errors import ConfigError
from dlexp.report.figures.generated.grid import animation, grid_png
from dlexp.specs import DataSpec, ImageSpec, TableSpec
from dlexp.workflows.sample.maker import BATCH, _batches, slerp
from dlexp.workflows.sample.own_units import OwnUnits
from dlexp.workflows.sample.request import SampleRequest, check_request


def test_a_path_between_noises_is_a_great_circle() -> None:
    first, last = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    path = slerp(first, last, torch.tensor([0.0, 1 / 3, 0.5, 1.0]))
    root = 3 / 2**0.5
    expected = torch.tensor([[[3.0, 0.0]], [[3 * 0.75**0.5, 1.5]], [[root, root]], [[0.0, 3.0]]])
    assert torch.allclose(path, expected, atol=1e-6)
    same = slerp(first, 2 * first, torch.tensor([0.5]))
    assert torch.allclose(same, 1.5 * first[None])


def test_numbers_keep_their_places_in_batches() -> None:
    found = list(_batches([*range(BATCH - 2, BATCH + 1), 5 * BATCH + 3]))
    assert found == [(0, [BATCH - 2, BATCH - 1]), (BATCH, [BATCH]), (5 * BATCH, [5 * BATCH + 3])]


def of_images(white: object, scale: float = 2.0, shift: float = -1.0) -> OwnUnits:
    step = Affine(torch.tensor(scale), torch.tensor(shift))
    return OwnUnits(DataSpec(ImageSpec(1, 1, 3), None), step, {"white": white} if white else {})


def test_pixels_come_back_as_whole_numbers_where_they_were() -> None:
    inputs = torch.tensor([[[[-1.2, 0.01, 1.4]]]])  # 2 x - 1 of shares
    found = of_images(255, 2 / 255).array(inputs)
    assert found.dtype == np.uint8 and found.tolist() == [[[[0, 129, 255]]]]
    assert of_images(65535, 2 / 65535).array(inputs).dtype == np.uint16
    found = of_images(1).array(inputs)
    assert found.dtype == np.float32 and np.allclose(found, [[[[0.0, 0.505, 1.0]]]])
    free = of_images(None)
    shares = free.shares(free.array(inputs))
    assert shares is not None and np.allclose(shares, [[[[0.0, 1.21 / 2.6, 1.0]]]])


def test_features_of_a_table_without_columns_are_columns() -> None:
    units = OwnUnits(DataSpec(TableSpec(2), None), Identity(), {})
    assert {name: list(column) for name, column in units.columns(np.array([[1.0, 2.0]])).items()} == {
        "feature 0": [1.0],
        "feature 1": [2.0],
    }
    assert units.limits()["feature 0"] == (-3.0, 3.0)


def test_an_animation_has_the_frames_of_one_size_and_at_most_sixty() -> None:
    def frame(level: float, count: int = 2) -> bytes:
        return grid_png(np.full((count, 1, 4, 4), level), 2)

    gif = animation([frame(0.0, 6), *(frame(n / 80) for n in range(80))])
    with Image.open(io.BytesIO(gif)) as found:
        shades = set()
        for place in range(found.n_frames):  # type: ignore[attr-defined]
            found.seek(place)
            shades.add(found.convert("L").getpixel((8, 8)))
        assert 40 <= len(shades) <= 60 and found.n_frames <= 59  # type: ignore[attr-defined]
        assert found.info["duration"] == 2000


def test_labels_wider_than_an_image_are_turned_and_foreign_ones_are_shown() -> None:
    images = np.zeros((2, 1, 8, 8))
    short = Image.open(io.BytesIO(grid_png(images, 2, column_labels=("0", "1"))))
    turned = Image.open(io.BytesIO(grid_png(images, 2, column_labels=("ankle boot", "\N{CJK UNIFIED IDEOGRAPH-4E00}"))))
    assert short.width == turned.width and turned.height > short.height + 30


@pytest.mark.parametrize(
    ("request_of", "codes"),
    [
        ({"interpolate": 4, "rows": (1,)}, ["invalid-value"]),
        ({"traverse": "x"}, ["invalid-value"]),
        ({"guidance": float("nan")}, ["out-of-range"]),
        ({"guidance": -1.0}, ["out-of-range"]),
        ({"count": 0, "steps": 0, "first": -1}, ["out-of-range"] * 3),
        ({"reconstruct": True, "classes": ("3",), "first": 2}, ["no-effect"] * 2),
        ({"interpolate": 4, "between": ("1", "2"), "rows": (1, 2)}, ["no-effect"]),
        ({"reconstruct": True, "rows": (1,), "count": 3}, ["no-effect"]),
    ],
)
def test_a_wrong_request_names_every_problem(request_of: dict[str, object], codes: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        check_request(SampleRequest(**request_of))  # type: ignore[arg-type]
    assert [problem.code for problem in raised.value.problems] == codes
