"""Rotations, shears and zooms against torchvision, and the ranges of what is drawn."""

from __future__ import annotations

from math import exp, log
from typing import Any

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from dlexp.data.augment.geometry import (
    RandomAffine,
    ResizedCrop,
    Rotate,
    matrices,
    scale_draws,
    stretched,
    warped,
    wide,
)
from dlexp.runtime.seed import uniforms

BILINEAR = InterpolationMode.BILINEAR
IMAGES = torch.rand(5, 3, 21, 30, generator=torch.Generator().manual_seed(0)) * 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("angle", "shift", "zoom", "shear"),
    [
        (0.0, (0, 0), 1.0, (0.0, 0.0)),
        (33.0, (0, 0), 1.0, (0.0, 0.0)),
        (-90.0, (0, 0), 1.0, (0.0, 0.0)),
        (0.0, (4, -3), 1.0, (0.0, 0.0)),
        (0.0, (0, 0), 0.6, (0.0, 0.0)),
        (0.0, (0, 0), 1.0, (20.0, 0.0)),
        (0.0, (0, 0), 1.0, (0.0, -35.0)),
        (-17.0, (-2, 5), 1.4, (12.0, 8.0)),
    ],
)
def test_an_affine_map_is_torchvisions(
    channels: int, angle: float, shift: tuple[int, int], zoom: float, shear: tuple[float, float]
) -> None:
    images = IMAGES[:, :channels]
    found = warped(
        images,
        matrices(
            angle=torch.full((5,), angle), right=shift[0], down=shift[1], zoom=zoom, shear_x=shear[0], shear_y=shear[1]
        ),
    )
    expected = reference.affine(images, angle, list(shift), zoom, list(shear), interpolation=BILINEAR)
    assert (found - expected).abs().max() < 0.05  # of 255 levels


def test_each_image_has_a_map_of_its_own() -> None:
    angles = [0.0, 10.0, -45.0, 90.0, 123.0]
    found = warped(IMAGES, matrices(angle=torch.tensor(angles)))
    for image, angle, one in zip(IMAGES, angles, found, strict=True):
        expected = reference.rotate(image, -angle, interpolation=BILINEAR)
        assert (one - expected).abs().max() < 0.05


@pytest.mark.parametrize("box", [(0, 0, 21, 30), (3, 5, 9, 14), (20, 29, 1, 1), (10, 0, 11, 30)])
def test_a_resized_crop_is_torchvisions(box: tuple[int, int, int, int]) -> None:
    boxes = torch.tensor([box] * len(IMAGES))
    expected = reference.resized_crop(IMAGES, *box, size=[21, 30], interpolation=BILINEAR, antialias=False)
    assert (stretched(IMAGES, boxes) - expected).abs().max() < 0.05


@pytest.mark.parametrize(
    "operation", [Rotate(0.0), RandomAffine(), ResizedCrop(scale=(1.0, 1.0), ratio=(30 / 21, 30 / 21))], ids=str
)
def test_no_strength_is_no_change(operation: Any) -> None:
    assert (operation(IMAGES, torch.rand(5, operation.draws)) - IMAGES).abs().max() < 0.01


def test_angles_reach_their_bounds_evenly() -> None:
    draws = uniforms(0, 0, torch.arange(20_000), 1)[:, 0]
    angles = scale_draws(draws, -30, 30)
    assert -30 <= float(angles.min()) < -29.9
    assert 29.9 < float(angles.max()) < 30
    assert abs(float(angles.mean())) < 4 * 60 / 12**0.5 / 20_000**0.5
    assert abs(float(angles.std()) - 60 / 12**0.5) < 0.2


def center(image: torch.Tensor) -> tuple[float, float]:
    """Where the light is, in pixels from the middle: (x, y)."""
    height, width = image.shape
    x, y = torch.arange(width) - (width - 1) / 2, torch.arange(height) - (height - 1) / 2
    return float((image.sum(0) * x).sum() / image.sum()), float((image.sum(1) * y).sum() / image.sum())


def test_a_shift_moves_by_at_most_its_share_in_both_directions() -> None:
    dots = torch.zeros(400, 1, 21, 21)
    dots[:, :, 10, 10] = 255
    found = RandomAffine(translate=0.3)(dots, uniforms(0, 0, torch.arange(400), 6))
    moves = torch.tensor([center(one[0]) for one in found])
    assert moves.abs().max() <= 6.01  # round(0.3 * 21)
    assert {round(x) for x in moves[:, 0].tolist()} == {round(y) for y in moves[:, 1].tolist()} == set(range(-6, 7))


def test_a_turn_moves_a_dot_on_its_circle() -> None:
    dots = torch.zeros(300, 1, 31, 31)
    dots[:, :, 15, 25] = 255
    found = Rotate(90.0)(dots, uniforms(0, 0, torch.arange(300), 1))
    places = torch.tensor([center(one[0]) for one in found])
    assert (places.norm(dim=1) - 10).abs().max() < 0.25
    assert (places[:, 0] > -0.5).all()
    assert (places[:, 1] > 5).any()
    assert (places[:, 1] < -5).any()


def test_areas_and_shapes_of_a_resized_crop_keep_their_bounds() -> None:
    ramp = torch.arange(40.0).expand(2000, 1, 40, 40) * 5  # the slope left in it tells the width of the cut
    found = ResizedCrop(scale=(0.1, 0.4), ratio=(0.5, 2.0))(ramp, uniforms(0, 0, torch.arange(2000), 4))
    widths = (found[:, 0, 20, 25] - found[:, 0, 20, 15]) / 10 / 5 * 40
    assert widths.min() > (0.1 * 0.5) ** 0.5 * 40 - 1
    assert widths.max() < (0.4 * 2.0) ** 0.5 * 40 + 1
    middle = exp((log(0.5) + log(2.0)) / 2) ** 0.5 * 40 * 0.25**0.5
    assert abs(float(widths.median()) - middle) < 1.5


@pytest.mark.parametrize(("key", "value"), [("degrees", 20), ("translate", 0.2), ("scale", (0.5, 0.8)), ("shear", 20)])
def test_every_key_of_affine_changes_something(key: str, value: Any) -> None:
    assert (RandomAffine(**{key: value})(IMAGES, torch.full((5, 6), 0.9)) - IMAGES).abs().mean() > 1


@pytest.mark.parametrize(
    "operation", [Rotate(), RandomAffine(10, 0.1, (0.9, 1.1), 5), ResizedCrop(), ResizedCrop(size=8)]
)
def test_everything_is_made_where_the_images_are(operation: Any) -> None:
    """On the meta device a tensor that was made elsewhere is refused, as a GPU would refuse it."""
    found = operation(IMAGES.to("meta"), torch.empty(5, operation.draws, device="meta"))
    assert found.device.type == "meta"
    assert found.shape[1] == 3


def test_a_device_without_float64_is_asked_for_none() -> None:
    class Apple:
        device = torch.device("mps")

        def to(self, dtype: torch.dtype) -> torch.dtype:
            return dtype

    apple: Any = Apple()
    assert str(wide(apple)) == "torch.float32"
    assert wide(torch.ones(1)).dtype == torch.float64
