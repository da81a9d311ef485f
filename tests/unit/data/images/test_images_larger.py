"""Images that are stored larger than the network sees them: Resize(256), RandomCrop(224) and the middle, in small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from image_toys import write_folder
from torchvision.transforms.v2 import functional as reference

from dlexp.data.augment.geometry import ResizedCrop
from dlexp.data.augment.operations import Crop, middle, one_by_one, random_flip, random_shift
from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.loaders import EvalBatches, TrainBatches
from dlexp.data.sources.image_folder import image_folder
from dlexp.data.streaming import Streamed
from dlexp.runtime.seed import uniforms
from dlexp.types import as_tensor

CPU = torch.device("cpu")
LARGE = torch.randint(0, 256, (60, 3, 24, 24), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("images") / "pets", per_class=10, size=40)


def folder(root: Path, **keys: Any) -> DataBundle:
    return image_folder(path=str(root), image_size=20, **{"in_memory": True, "augment": "imagenet", **keys})


def inputs(batches: Any) -> torch.Tensor:
    return torch.cat([batch.inputs for batch in batches])


@pytest.mark.parametrize("augment", ["none", "crop_flip", "imagenet", [{"rotate": 10}]])
def test_streamed_and_kept_are_the_same_bits_and_of_the_right_size(root: Path, augment: Any) -> None:
    kept, streamed = (folder(root, resize_to=24, augment=augment, in_memory=here, workers=2) for here in (True, False))
    assert kept.spec.inputs.shape == (3, 20, 20)
    assert kept.splits["train"].inputs.shape == (3, 24, 24)
    try:
        for epoch in (0, 1):
            one, two = (inputs(TrainBatches(b, 5, 1, CPU).epoch(epoch)) for b in (kept, streamed))
            assert torch.equal(one, two)
            assert one.shape[1:] == (3, 20, 20)
        assert torch.equal(*(inputs(EvalBatches(b, "test", 2, CPU)) for b in (kept, streamed)))
    finally:
        column = streamed.splits["train"].inputs
        assert isinstance(column, Streamed)
        column.stream.close()


def test_evaluation_sees_the_middle(root: Path) -> None:
    bundle = folder(root, resize_to=25)
    expected = reference.center_crop(tensor_of(bundle.splits["test"].inputs), [20, 20])
    shifted = reference.center_crop(tensor_of(bundle.splits["test"].inputs), [21, 21])[:, :, :20, :20]
    found = inputs(EvalBatches(bundle, "test", 3, CPU))
    assert any(
        torch.equal(found, as_tensor(bundle.preprocess(one))) for one in (expected, shifted)
    )  # half a pixel either way
    none = inputs(TrainBatches(folder(root, resize_to=25, augment="none"), 50, 0, CPU).epoch(0))
    assert none.shape[1:] == (3, 20, 20)


def test_without_the_key_nothing_is_cut(root: Path) -> None:
    bundle = folder(root, augment="none")
    assert bundle.recipe.unchanged is None
    assert bundle.preprocessing["resize_to"] == 20
    with pytest.raises(ValueError, match="resize_to=19"):
        folder(root, resize_to=19)


@pytest.mark.parametrize("pad", [0, 3])
@pytest.mark.parametrize("size", [0, 17])
def test_both_ways_to_cut_give_the_same_pixels(pad: int, size: int) -> None:
    draws = uniforms(0, 0, torch.arange(60), 3)
    shifted = random_shift(LARGE, draws[:, :2], pad, size)
    assert shifted.shape[2] == (size or 24)
    found = one_by_one(LARGE, draws, pad, True, size)
    assert torch.equal(found, random_flip(shifted, draws[:, 2]))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_window_goes_everywhere_and_nowhere_else() -> None:
    places = torch.arange(24 * 24).reshape(1, 1, 24, 24).expand(4000, 1, 24, 24)
    found = Crop(0, size=20)(places, uniforms(0, 0, torch.arange(4000), 3))
    corners = {divmod(int(corner), 24) for corner in found[:, 0, 0, 0]}
    assert corners == {(row, column) for row in range(5) for column in range(5)}
    assert torch.equal(middle(places[:1], 20), places[:1, :, 2:22, 2:22])


def test_a_resized_crop_of_all_is_the_image_made_smaller() -> None:
    images = LARGE.float()
    found = ResizedCrop((1.0, 1.0), (1.0, 1.0), size=20)(images, torch.rand(60, 4))
    expected = torch.nn.functional.interpolate(images, (20, 20), mode="bilinear", align_corners=False)
    assert (found - expected).abs().max() < 0.05
