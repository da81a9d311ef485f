"""Augmentation is a function of (seed, epoch, sample) and of nothing else (R2)."""

from __future__ import annotations

import pytest
import torch

from dlexp.data.augment import Change, augmented, one_by_one, random_flip, random_shift
from dlexp.runtime.seed import uniforms

IMAGES = torch.arange(1, 6 * 2 * 4 * 4 + 1).reshape(6, 2, 4, 4)
ROWS = torch.tensor([5, 17, 3, 99, 0, 42])


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
    assert torch.equal(Change("crop_flip", 2, 3, 4)(large, ROWS), expected)
    assert torch.equal(augmented(large, ROWS, "crop", 2, 3, 4), random_shift(large, draws[:, :2], 2))
