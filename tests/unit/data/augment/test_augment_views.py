"""Views of images for test-time augmentation: which there are, and that they depend on nothing but their sample."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from refusals import refused

from dlexp.data.augment.recipe import AugmentContext, Recipe, recipe
from dlexp.data.augment.views import images_in_view, views_of
from dlexp.errors import ConfigError

PHOTOS = AugmentContext(channels=3, pad=1)
DIGITS = AugmentContext(channels=1, pad=1, mirrors=False)
IMAGES = torch.arange(4 * 3 * 5 * 5, dtype=torch.uint8).reshape(4, 3, 5, 5)


def standard(context: AugmentContext = PHOTOS) -> Recipe:
    return recipe("standard", context)


def test_flip_is_the_image_and_its_mirror_image() -> None:
    plain, mirrored = views_of("flip", standard(), 1, 0)
    assert images_in_view(plain, IMAGES, torch.arange(4)) is IMAGES
    assert torch.equal(images_in_view(mirrored, IMAGES, torch.arange(4)), IMAGES.flip(3))


def test_crops_shift_into_the_four_corners_and_are_mirrored_if_asked() -> None:
    views = views_of("crop", standard(), 1, 0)
    assert [view.name for view in views] == ["as it is", "top left", "top right", "bottom left", "bottom right"]
    top_left = images_in_view(views[1], IMAGES, torch.arange(4))
    assert torch.equal(top_left[:, :, 1:, 1:], IMAGES[:, :, :-1, :-1]) and not top_left[:, :, 0].any()
    assert len(views_of("crop_flip", standard(), 1, 0)) == 10


def test_images_that_are_stored_larger_have_windows_of_the_size_that_the_network_reads() -> None:
    made = standard(replace(PHOTOS, size=3))
    views = views_of("crop", made, 0, 0)
    found = [images_in_view(view, IMAGES, torch.arange(4)) for view in views]
    assert {tuple(one.shape) for one in found} == {(4, 3, 3, 3)}
    assert torch.equal(found[0], IMAGES[:, :, 1:4, 1:4])
    assert torch.equal(found[4], IMAGES[:, :, 2:, 2:])


def test_drawn_views_depend_on_the_sample_and_not_on_its_batch() -> None:
    views = views_of("4", standard(), 1, seed=3)
    assert len(views) == 4
    rows = torch.tensor([7, 8, 9, 10])
    for view in views[1:]:
        whole = images_in_view(view, IMAGES, rows)
        assert torch.equal(whole[2:], images_in_view(view, IMAGES[2:], rows[2:]))
    again, other = views_of("4", standard(), 1, seed=3), views_of("4", standard(), 1, seed=4)

    def drawn(number: int, some: object) -> torch.Tensor:
        return images_in_view(some[number], IMAGES, rows)  # type: ignore[index]

    assert all(torch.equal(drawn(n, views), drawn(n, again)) for n in range(4))
    assert not all(torch.equal(drawn(n, views), drawn(n, other)) for n in range(4))


def test_drawn_views_of_digits_are_never_mirrored() -> None:
    image = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    image[0, 0, 2, 1:3] = torch.tensor([1, 2], dtype=torch.uint8)
    for view in views_of("30", standard(DIGITS), 1, 0):
        row = images_in_view(view, image, torch.tensor([0]))[0, 0].flatten().tolist()
        assert row.index(1) < row.index(2)


@pytest.mark.parametrize("words", ["mirror", "1", "0", "-3", "1000", "", "flip,crop"])
def test_words_that_mean_no_views_are_refused(words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        views_of(words, standard(), 1, 0)
    refused(caught.value, "invalid-value", "--tta", "flip")


def test_views_that_would_all_be_the_same_are_refused() -> None:
    for words, made, pad in (("4", recipe("none", PHOTOS), 1), ("crop", standard(), 0)):
        with pytest.raises(ConfigError) as caught:
            views_of(words, made, pad, 0)
        refused(caught.value, "no-effect", "--tta")


def test_targets_that_lie_on_the_images_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        views_of("flip", recipe("none", replace(PHOTOS, geometry="mask")), 1, 0)
    refused(caught.value, "not-supported", "--tta")
