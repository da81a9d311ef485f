"""Colors against torchvision's functional transforms, on floating-point images so that nothing is rounded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from dlexp.data.augment import color
from dlexp.data.augment.color import Color, Gray
from dlexp.data.augment.operations import Cutout
from dlexp.runtime.seed import uniforms

LEVELS = torch.randint(0, 256, (6, 3, 9, 11), generator=torch.Generator().manual_seed(0)).float()
FACTORS = torch.tensor([0.0, 0.3, 0.9, 1.0, 1.4, 3.0])
TURNS = torch.tensor([-0.5, -0.3, -0.05, 0.0, 0.17, 0.5])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (color.brightened, reference.adjust_brightness),
        (color.contrasted, reference.adjust_contrast),
        (color.saturated, reference.adjust_saturation),
        (color.sharpened, reference.adjust_sharpness),
    ],
)
def test_a_blend_is_torchvisions(ours: Any, theirs: Any, channels: int) -> None:
    images = LEVELS[:, :channels]
    if ours is color.saturated and channels == 1:
        return  # a gray image has no colors: below
    for image, factor, found in zip(images, FACTORS, ours(images, FACTORS), strict=True):
        assert (found - theirs(image / 255, float(factor)) * 255).abs().max() < 0.05


def test_a_turn_of_hue_is_torchvisions() -> None:
    for image, turn, found in zip(LEVELS, TURNS, color.hue_turned(LEVELS, TURNS), strict=True):
        assert (found - reference.adjust_hue(image / 255, float(turn)) * 255).abs().max() < 0.05


def test_grays_have_no_hue_and_no_saturation() -> None:
    gray = LEVELS[:, :1].expand(6, 3, 9, 11)
    assert torch.equal(color.hue_turned(gray, TURNS), gray)
    assert (color.saturated(gray, FACTORS) - gray).abs().max() < 0.1  # torchvision's weights add up to 0.9999
    assert (color.luma(LEVELS) - reference.rgb_to_grayscale(LEVELS / 255) * 255).abs().max() < 0.05


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8])
def test_fewer_bits_are_torchvisions(bits: int) -> None:
    expected = reference.posterize(LEVELS.to(torch.uint8), bits).float()
    assert torch.equal(color.posterized(LEVELS, torch.full((6,), bits)), expected)


@pytest.mark.parametrize("threshold", [0.0, 100.0, 255.0])
def test_solarize_is_torchvisions(threshold: float) -> None:
    expected = reference.solarize(LEVELS.to(torch.uint8), threshold).float()
    assert torch.equal(color.solarized(LEVELS, torch.full((6,), threshold)), expected)


@pytest.mark.parametrize("low", [0, 40])
def test_stretching_and_equalizing_are_torchvisions(low: int) -> None:
    images = (low + LEVELS * 0.4).round()
    images[0, 0] = 77.0  # one level alone
    whole = images.to(torch.uint8)
    assert (color.auto_contrasted(images) - reference.autocontrast(whole).float()).abs().max() <= 1
    assert torch.equal(color.equalized(images), reference.equalize(whole).float())


@pytest.mark.parametrize("key", ["brightness", "contrast", "saturation", "hue"])
def test_every_key_changes_something_and_nothing_at_zero(key: str) -> None:
    draws = uniforms(0, 0, torch.arange(6), 4)
    assert torch.equal(Color(**{key: 0.0})(LEVELS, draws), LEVELS)
    assert (Color(**{key: 0.4})(LEVELS, draws) - LEVELS).abs().mean() > 1


def test_factors_keep_their_bounds_and_are_drawn_apart() -> None:
    flat = torch.full((4000, 1, 2, 2), 50.0)
    found = Color(brightness=0.4)(flat, uniforms(0, 0, torch.arange(4000), 4))[:, 0, 0, 0] / 50
    assert 0.6 <= float(found.min()) < 0.605
    assert 1.395 < float(found.max()) <= 1.4
    assert abs(float(found.mean()) - 1) < 4 * 0.8 / 12**0.5 / 4000**0.5
    dark = Color(brightness=3.0)(flat, uniforms(0, 0, torch.arange(4000), 4))[:, 0, 0, 0] / 50
    assert 0 <= float(dark.min()) < 0.01
    assert float(dark.max()) > 3.9


def test_how_often_colors_are_taken_away() -> None:
    images = torch.rand(2000, 3, 2, 2) * 255
    found = Gray(0.3)(images, uniforms(0, 0, torch.arange(2000), 1))
    is_gray = (found[:, 0] == found[:, 1]).all(dim=2).all(dim=1)
    assert abs(float(is_gray.float().mean()) - 0.3) < 4 * (0.3 * 0.7 / 2000) ** 0.5
    assert torch.equal(found[~is_gray], images[~is_gray])


@pytest.mark.parametrize("operation", [Color(0.1, 0.1, 0.1, 0.1), Gray(), Cutout(0.5, 1.0, (1.0, 2.0, 3.0))], ids=str)
def test_everything_is_made_where_the_images_are(operation: Any) -> None:
    """On the meta device a tensor that was made elsewhere is refused, as a GPU would refuse it."""
    found = operation(LEVELS.to("meta"), torch.empty(6, operation.draws, device="meta"))
    assert found.device.type == "meta"
    assert found.shape == LEVELS.shape
