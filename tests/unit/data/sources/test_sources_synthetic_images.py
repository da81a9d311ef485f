from __future__ import annotations

import numpy as np
import pytest
import torch

from dlexp.data.bundle import SPLITS
from dlexp.data.columns import tensor_of
from dlexp.data.sources.synthetic_images import class_names, draw_shapes, synthetic_images
from dlexp.data.sources.synthetic_shapes import SHAPES
from dlexp.types import as_tensor


def test_an_image_is_a_function_of_its_number_and_the_seed() -> None:
    few, many = draw_shapes(300, (3, 16, 16), 10), draw_shapes(700, (3, 16, 16), 10)
    assert np.array_equal(few.images, many.images[:300])
    assert np.array_equal(few.masks, many.masks[:300])
    other = draw_shapes(300, (3, 16, 16), 10, seed=1)
    assert (few.images != other.images).mean() > 0.9
    assert len(np.unique(many.images.reshape(700, -1), axis=0)) == 700


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_mask_is_where_the_shape_is(channels: int) -> None:
    drawn = draw_shapes(200, (channels, 24, 24), 10, noise=0.0)
    bright = drawn.images.max(axis=1) > 0.36 * 255  # the ground is at most 0.35 of white
    assert np.array_equal(bright, drawn.masks)
    share = drawn.masks.mean(axis=(1, 2))
    assert 0.02 < share.min() < share.max() < 0.6


def test_noise_is_as_strong_as_it_was_asked_to_be() -> None:
    plain, noisy = draw_shapes(50, (3, 32, 32), 10, noise=0.0), draw_shapes(50, (3, 32, 32), 10, noise=0.05)
    inner = (plain.images > 60) & (plain.images < 195)  # where nothing is cut off
    spread = (noisy.images.astype(float) - plain.images)[inner].std() / 255
    assert spread == pytest.approx(0.05, rel=0.05)
    assert np.array_equal(plain.masks, noisy.masks)


@pytest.mark.parametrize(("channels", "most"), [(1, 1280), (3, 2560)])
def test_there_are_as_many_classes_as_it_says(channels: int, most: int) -> None:
    assert len(set(class_names(most, channels))) == most
    assert class_names(10, channels) == tuple(SHAPES)
    with pytest.raises(ValueError, match=f"{most:,}"):
        class_names(most + 1, channels)
    drawn = draw_shapes(most, (channels, 16, 16), most, noise=0.0)
    assert np.array_equal(drawn.labels, np.arange(most))


def test_what_tells_classes_apart_is_in_the_picture() -> None:
    """Color, texture and backdrop, each seen in the pixels of two classes that differ in nothing else."""
    names = class_names(2560, 3)
    drawn = draw_shapes(2560, (3, 32, 32), 2560, noise=0.0)
    by_name = dict(zip(names, range(2560), strict=True))

    def look(name: str) -> tuple[int, float, float]:
        number = by_name[name]
        image, mask = drawn.images[number].astype(float), drawn.masks[number]
        inside, outside = image[:, mask], image[:, ~mask]
        return int(inside.mean(axis=1).argmax()), inside.max(axis=0).std(), outside.std()

    hue, texture, backdrop = look("square, color 1, plain, on plain")
    assert look("square, color 4, plain, on plain")[0] != hue
    assert look("square, color 1, small squares, on plain")[1] > texture + 20
    assert look("square, color 1, plain, on large squares")[2] > backdrop + 10


def test_bundle_is_split_and_normalized() -> None:
    bundle = synthetic_images(num_samples=400, image_size=12, channels=3, num_classes=4)
    assert bundle.spec.inputs.shape == (3, 12, 12)
    assert bundle.spec.output_names == ("disc", "square", "triangle", "cross")
    assert bundle.sizes() == {"train": 280, "val": 40, "test": 80}
    rows = torch.cat([bundle.splits[name].indices for name in SPLITS])
    assert sorted(rows.tolist()) == list(range(400))
    drawn = draw_shapes(400, (3, 12, 12), 4)
    for split in bundle.splits.values():
        assert torch.equal(tensor_of(split.inputs), torch.from_numpy(drawn.images[split.indices.numpy()]))
        assert torch.equal(tensor_of(split.targets), split.indices % 4)
        assert tensor_of(split.inputs).is_contiguous(memory_format=torch.channels_last)
    ready = as_tensor(bundle.preprocess(tensor_of(bundle.splits["train"].inputs)))
    assert ready.is_contiguous(memory_format=torch.channels_last)
    assert ready.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert torch.allclose(ready.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-5)
    again = synthetic_images(num_samples=400, image_size=12, channels=3, num_classes=4)
    other = synthetic_images(num_samples=400, image_size=12, channels=3, num_classes=4, data_seed=1)
    assert bundle.fingerprint == again.fingerprint != other.fingerprint


def test_channels_must_be_a_number() -> None:
    with pytest.raises(ValueError, match="channels=auto"):
        synthetic_images(channels="auto")


def test_masks_of_a_bundle_are_drawn_when_asked_for() -> None:
    bundle = synthetic_images(image_size=16, num_samples=600, data_seed=3, num_classes=7)
    drawn = draw_shapes(600, (3, 16, 16), 7, seed=3)
    assert bundle.masks is not None
    rows = torch.tensor([599, 0, 255, 256, 300, 0])
    assert np.array_equal(bundle.masks(rows).numpy(), drawn.masks[rows])
    test = bundle.splits["test"]
    assert np.array_equal(bundle.masks(test.indices).numpy(), drawn.masks[test.indices])
    assert np.array_equal(tensor_of(test.inputs).numpy(), drawn.images[test.indices])
    assert bundle.masks(torch.empty(0, dtype=torch.int64)).shape == (0, 16, 16)
    assert len(draw_shapes(600, (3, 16, 16), 7, seed=3, with_masks=False).masks) == 0
