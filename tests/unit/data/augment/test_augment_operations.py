"""Augmentation is a function of (seed, epoch, sample) and of nothing else (R2)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dlexp.data.augment.operations import Augmentation, Cutout, Flip, one_by_one, random_flip, random_shift
from dlexp.data.augment.recipe import AugmentContext, recipe
from dlexp.runtime.seed import uniforms

IMAGES = torch.arange(1, 6 * 2 * 4 * 4 + 1).reshape(6, 2, 4, 4)
ROWS = torch.tensor([5, 17, 3, 99, 0, 42])


def augmented(images: torch.Tensor, rows: torch.Tensor, words: Any, pad: int, seed: int, epoch: int) -> torch.Tensor:
    transform = recipe(words, AugmentContext(images.shape[1], pad)).transform(seed, epoch)
    return images if transform is None else transform(images, None, rows)[0]


@pytest.mark.parametrize("kind", ["crop", "crop_flip"])
def test_sample_does_not_depend_on_its_batch(kind: str) -> None:
    together = augmented(IMAGES, ROWS, kind, 2, seed=1, epoch=4)
    picked = torch.tensor([4, 1, 3])
    assert torch.equal(augmented(IMAGES[picked], ROWS[picked], kind, 2, seed=1, epoch=4), together[picked])
    alone = torch.cat([augmented(IMAGES[n : n + 1], ROWS[n : n + 1], kind, 2, seed=1, epoch=4) for n in range(6)])
    assert torch.equal(alone, together)


@pytest.mark.parametrize(("seed", "epoch"), [(1, 5), (2, 4)])
def test_another_epoch_or_seed_is_another_change(seed: int, epoch: int) -> None:
    assert not torch.equal(augmented(IMAGES, ROWS, "crop", 2, 1, 4), augmented(IMAGES, ROWS, "crop", 2, seed, epoch))


def test_samples_are_changed_in_different_ways() -> None:
    same = torch.arange(1, 17).reshape(1, 1, 4, 4).expand(64, 1, 4, 4)
    found = augmented(same, torch.arange(64), "crop", 1, 0, 0)
    assert len({tuple(image.flatten().tolist()) for image in found}) == 9  # 3 x 3 shifts, all of which occur


def test_none_changes_nothing() -> None:
    assert augmented(IMAGES, ROWS, "none", 2, 1, 4) is IMAGES


def test_pixels_keep_their_type() -> None:
    assert augmented(IMAGES.to(torch.uint8), ROWS, "crop_flip", 1, 0, 0).dtype == torch.uint8


@pytest.mark.parametrize(
    ("draw", "moved"),
    [
        ((0.5, 0.5), (0, 0)),  # the middle window
        ((0.0, 0.0), (1, 1)),  # the window starts one pixel up and left: content moves down and right
        ((0.99, 0.0), (-1, 1)),
        ((0.0, 0.99), (1, -1)),
    ],
)
def test_shift_moves_the_content_and_fills_with_zeros(draw: tuple[float, float], moved: tuple[int, int]) -> None:
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 1
    image[0, 0, 0, 0] = 7
    found = random_shift(image, torch.tensor([draw]), 1)
    assert found[0, 0, 2 + moved[0], 2 + moved[1]] == 1
    assert found.sum() == (8 if min(moved) >= 0 else 1)


def test_flip_mirrors_below_one_half() -> None:
    images = torch.arange(8).reshape(2, 1, 1, 4)
    found = random_flip(images, torch.tensor([0.49, 0.5]))
    assert found.flatten().tolist() == [3, 2, 1, 0, 4, 5, 6, 7]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("channels", "height", "width", "pad"), [(1, 7, 9, 1), (3, 16, 11, 4), (5, 8, 8, 9)])
def test_one_by_one_and_all_at_once_give_the_same_pixels(
    layout: torch.memory_format, channels: int, height: int, width: int, pad: int
) -> None:
    images = torch.randint(0, 256, (40, channels, height, width), dtype=torch.uint8).contiguous(memory_format=layout)
    draws = uniforms(1, 2, torch.arange(40), 3)
    shifted = random_shift(images, draws[:, :2], pad)
    assert torch.equal(one_by_one(images, draws, pad, False), shifted)
    changed = one_by_one(images, draws, pad, True)
    assert torch.equal(changed, random_flip(shifted, draws[:, 2]))
    assert changed.is_contiguous(memory_format=layout)


def test_large_images_are_changed_like_small_ones() -> None:
    large = torch.randint(0, 256, (6, 3, 40, 40), dtype=torch.uint8)
    draws = uniforms(3, 4, ROWS, 3)
    expected = random_flip(random_shift(large, draws[:, :2], 2), draws[:, 2])
    assert torch.equal(augmented(large, ROWS, "crop_flip", 2, 3, 4), expected)
    assert torch.equal(augmented(large, ROWS, "crop", 2, 3, 4), random_shift(large, draws[:, :2], 2))


def pictures(count: int, channels: int, size: int, seed: int = 0) -> torch.Tensor:
    """Smooth random images, as cameras take them: (N, C, S, S) uint8, the channels last in memory."""
    coarse = torch.rand(count, channels, 5, 5, generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    return (fine * 255).round().to(torch.uint8).contiguous(memory_format=torch.channels_last)


EVERYTHING = {
    "standard": "standard", "strong": "strong", "randaugment": "randaugment", "trivialaugment": "trivialaugment",
    "imagenet": "imagenet", "flip": "flip", "upside down": ["flip_upside_down"], "rotate": [{"rotate": 40}],
    "affine": [{"affine": {"degrees": 10, "translate": 0.2, "scale": [0.7, 1.3], "shear": 15}}],
    "color": [{"color": {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.2}}],
    "gray": [{"gray": 0.5}], "cutout": [{"cutout": 0.4}],
}  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", EVERYTHING)
def test_every_change_belongs_to_its_sample(name: str, channels: int) -> None:
    """The same bits alone, in any company, on any number of threads and in either layout; and a change at all."""
    if channels == 1 and name in ("color", "gray"):
        return
    images, rows = pictures(24, channels, 20), torch.arange(100, 124)
    transform = recipe(EVERYTHING[name], AugmentContext(channels, 2, mean=(0.5,) * channels)).transform(3, 4)
    assert transform is not None

    def change(some: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        found, targets = transform(some, None, indices)
        assert targets is None
        return found

    together = change(images, rows)
    assert together.shape == images.shape
    assert together.dtype == torch.uint8
    assert together.is_contiguous(memory_format=torch.channels_last)
    picked = torch.tensor([7, 0, 23, 11])
    assert torch.equal(change(images[picked], rows[picked]), together[picked])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = torch.cat([change(images[n : n + 1], rows[n : n + 1]) for n in range(24)])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone, together)
    assert torch.equal(change(images.contiguous(), rows), together)
    differ = [not torch.equal(a, b) for a, b in zip(together, images, strict=True)]
    assert sum(differ) >= 8
    assert not torch.equal(together, Augmentation(transform.steps, 3, 5)(images, None, rows)[0])


def test_white_may_be_any_number_where_images_are_stored() -> None:
    few = (pictures(8, 1, 12).double() / 255 * 16).round().to(torch.uint8)  # as the digits: 0 to 16
    facts = AugmentContext(1, 1, white=16, mean=(0.3,))
    for words in ([{"rotate": 0}], [{"color": {"brightness": 0}}, {"affine": {}}]):
        transform = recipe(words, facts).transform(0, 0)
        assert transform is not None
        assert torch.equal(transform(few, None, torch.arange(8))[0], few)
    bright = recipe([{"color": {"brightness": 10.0}}], facts).transform(0, 0)
    assert bright is not None
    assert int(bright(few, None, torch.arange(8))[0].max()) == 16


def test_adding_an_operation_leaves_what_the_others_draw() -> None:
    images, rows = pictures(16, 3, 16), torch.arange(16)
    alone = augmented(images, rows, ["crop", "flip"], 2, 1, 1)
    assert torch.equal(augmented(images, rows, ["crop", "flip", {"cutout": {"probability": 0}}], 2, 1, 1), alone)
    assert torch.equal(augmented(images, rows, "crop_flip", 2, 1, 1), alone)
    apart = augmented(augmented(images, rows, "crop", 2, 1, 1), rows, "flip", 2, 1, 1)
    assert torch.equal(apart, alone)
    twice = augmented(images, rows, ["flip", "flip"], 2, 1, 1)
    assert not torch.equal(twice, images)  # the second flip has draws of its own


def test_cutout_covers_a_square_with_its_color_and_is_clipped_at_the_border() -> None:
    images = torch.full((200, 3, 10, 12), 9.0)
    draws = uniforms(0, 0, torch.arange(200), 3)
    found = Cutout(0.4, 1.0, (1.0, 2.0, 3.0))(images, draws)
    covered = found[:, 0] == 1
    assert torch.equal(covered, found[:, 2] == 3)
    assert torch.equal(found[~covered[:, None].expand_as(found)], torch.full((3 * int((~covered).sum()),), 9.0))
    areas = covered.sum(dim=(1, 2))
    assert int(areas.max()) == 16
    assert 4 <= int(areas.min()) < 16
    none = Cutout(0.4, 0.0, (1.0, 2.0, 3.0))(images, draws)
    assert torch.equal(none, images)


def test_how_often_images_are_mirrored() -> None:
    images = torch.arange(4.0).reshape(1, 1, 2, 2).expand(4000, 1, 2, 2)
    for share in (0.0, 0.2, 1.0):
        found = Flip(share)(images, uniforms(0, 0, torch.arange(4000), 1))
        mirrored = (found[:, 0, 0, 0] == 1).float().mean().item()
        assert abs(mirrored - share) < 4 * (0.2 * 0.8 / 4000) ** 0.5
    assert Flip(1.0, True)(images[:1], torch.zeros(1, 1)).flatten().tolist() == [2, 3, 0, 1]
