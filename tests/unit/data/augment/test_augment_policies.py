"""RandAugment and TrivialAugment, operation for operation against torchvision's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode

from dlexp.data.augment.policies import _NARROW, _WIDE, RandAugment, TrivialAugment, _changed, names
from dlexp.runtime.seed import uniforms

THEIRS = {
    "identity": "Identity", "shear_x": "ShearX", "shear_y": "ShearY", "translate_x": "TranslateX",
    "translate_y": "TranslateY", "rotate": "Rotate", "brightness": "Brightness", "color": "Color",
    "contrast": "Contrast", "sharpness": "Sharpness", "posterize": "Posterize", "solarize": "Solarize",
    "auto_contrast": "AutoContrast", "equalize": "Equalize",
}  # fmt: skip
SIZE = 80  # so large that a shift of 32 pixels is not held back
COARSE = torch.rand(1, 3, 7, 7, generator=torch.Generator().manual_seed(0))
SMOOTH = torch.nn.functional.interpolate(COARSE, (SIZE, SIZE), mode="bicubic").clamp(0, 1)
IMAGE = (SMOOTH * 200 + 20).round().to(torch.uint8)


def theirs(policy: Any, name: str, magnitude: int, negative: bool) -> torch.Tensor:
    values, signed = policy._AUGMENTATION_SPACE[THEIRS[name]]
    strengths = values(31, SIZE, SIZE)
    value = 0.0 if strengths is None else float(strengths[magnitude])
    value = -value if signed and negative else value
    return policy._apply_image_or_video_transform(  # type: ignore[no-any-return]
        IMAGE, THEIRS[name], value, interpolation=InterpolationMode.BILINEAR, fill=policy._fill
    ).float()


def draw_of(name: str, channels: int = 3) -> float:
    known = names(channels)
    return (known.index(name) + 0.5) / len(known)


def test_every_operation_of_torchvision_is_there() -> None:
    assert set(THEIRS) == set(names(3))
    for policy in (v2.RandAugment, v2.TrivialAugmentWide):
        assert set(policy._AUGMENTATION_SPACE) == set(THEIRS.values())
    assert set(names(3)) - set(names(1)) == {"color"}


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize(("policy", "limits"), [(v2.RandAugment(), _NARROW), (v2.TrivialAugmentWide(), _WIDE)])
def test_an_operation_is_torchvisions(policy: Any, limits: Any, name: str) -> None:
    for magnitude, sign in ((0, 0.2), (7, 0.2), (9, 0.9), (30, 0.2), (30, 0.9)):
        draws = torch.tensor([[draw_of(name), sign]])
        found = _changed(IMAGE.float(), draws, torch.tensor([magnitude]), limits)
        # torchvision cuts to whole levels, twice where it blends with a gray image, and turns the other way round.
        expected = theirs(policy, name, magnitude, (sign < 0.5) != (name == "rotate"))
        assert (found - expected).abs().max() < 2.1, (magnitude, sign)


def test_each_image_has_its_own_operation() -> None:
    images = torch.rand(280, 3, 16, 16) * 255
    draws = uniforms(0, 0, torch.arange(280), 3)
    together = TrivialAugment()(images, draws)
    for number in range(0, 280, 20):
        one = slice(number, number + 1)
        assert torch.equal(TrivialAugment()(images[one], draws[one]), together[one])


def test_every_operation_and_every_strength_comes_up_equally_often() -> None:
    draws = uniforms(0, 0, torch.arange(28_000), 3)
    chosen = torch.bincount((draws[:, 0] * 14).long(), minlength=14)
    assert (chosen - 2000).abs().max() < 4 * 2000**0.5
    flat = torch.full((28_000, 1, 1, 1), 100.0)
    found = TrivialAugment()(flat, torch.cat([torch.full((28_000, 1), draw_of("brightness", 1)), draws[:, 1:]], 1))
    strengths, counts = (found.flatten() / 100 - 1).mul(30 / 0.99).round().unique(return_counts=True)
    assert strengths.tolist() == [float(n) for n in range(-30, 31)]
    assert abs(int(counts[30]) - 28_000 / 31) < 130  # no strength, of either sign


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_number_of_operations_and_the_magnitude_count(channels: int) -> None:
    images = torch.rand(60, channels, 12, 12) * 255
    draws = uniforms(0, 0, torch.arange(60), 16)
    one, two = RandAugment(1, 9)(images, draws), RandAugment(2, 9)(images, draws)
    assert not torch.equal(one, two)
    assert torch.equal(RandAugment(2, 9)(images, draws), two)
    strong = RandAugment(1, 30)(images, draws)
    assert (strong - images).abs().mean() > 1.3 * (one - images).abs().mean()


def test_a_shift_leaves_something_of_a_small_image() -> None:
    draws = torch.tensor([[draw_of("translate_x", 1), 0.9, 0.999]])
    found = TrivialAugment()(torch.full((1, 1, 8, 8), 200.0), draws)
    assert (found > 0).float().mean() == 5 / 8  # trunc(8 * 150 / 331) pixels
