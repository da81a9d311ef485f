"""Augmentation moves what lies on an image exactly as it moves the image, and changes no bit of the image for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.augment.motion import Motion, move_boxes
from dlexp.data.augment.operations import Augmentation
from dlexp.data.augment.recipe import PRESETS, AugmentContext, recipe
from dlexp.data.bundle import SPLITS, DataBundle, Split
from dlexp.data.columns import Column, Dense, Transform
from dlexp.data.loaders import EvalBatches, TrainBatches
from dlexp.data.preprocess import Identity
from dlexp.data.streaming import Stream, Streamed
from dlexp.errors import ConfigError
from dlexp.runtime.seed import generator
from dlexp.spec_base import TargetSpec
from dlexp.specs import BoxSpec, ClassSpec, DataSpec, ImageSpec, MaskSpec
from dlexp.types import Batch, Field, Sequences, as_tensor

CPU = torch.device("cpu")
SIDE, COUNT, WHITE = 24, 60, 255.0
# Exactly the same pixels.
EXACT: Mapping[str, Any] = {
    **{name: name for name in ("crop", "flip", "crop_flip", "standard")},
    "upside_down": ["flip_upside_down", "flip"],
    "far": [{"crop": 7}],
}
# A mix of neighboring pixels.
WARPS: Mapping[str, Any] = {
    "rotate": [{"rotate": 40}],
    "shear": [{"affine": {"shear": 30}}],
    "shift": [{"affine": {"translate": 0.3}}],
    "zoom": [{"affine": {"scale": [0.5, 1.6]}}],
    "affine": [{"affine": {"degrees": 30, "translate": 0.2, "scale": [0.7, 1.4], "shear": 15}}],
    "resized_crop": ["resized_crop"],
}
PIXELS: Mapping[str, Any] = {
    "color": [{"color": {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.2}}],
    "gray": [{"gray": 1.0}],
    "cutout": ["cutout"],
}


def blobs(channels: int = 3, height: int = SIDE, width: int = SIDE) -> Tensor:
    """(COUNT, channels, height, width) uint8, white where the object is: rectangles and a disc, nothing symmetric."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    found = np.zeros((COUNT, height, width), dtype=np.uint8)
    for image in found:
        top, left = rng.integers(0, height - 8), rng.integers(0, width - 6)
        image[top : top + rng.integers(4, 9), left : left + rng.integers(3, 7)] = 255
        image[(y - rng.integers(0, height)) ** 2 + (x - rng.integers(0, width)) ** 2 < 12] = 255
    return torch.from_numpy(found)[:, None].repeat(1, channels, 1, 1)


def augmentation(words: Any, geometry: str, fill: int = 0, size: int = 0, channels: int = 3) -> Augmentation:
    context = AugmentContext(channels, 4, mean=(0.5,) * channels, size=size, geometry=geometry, fill=fill)
    found = recipe(words, context).transform(3, 5)
    assert found is not None
    return found


def moved(words: Any, images: Tensor, size: int = 0) -> tuple[Tensor, Tensor]:
    """(images, masks (B, H, W)) after the same changes; the masks were the images' own white."""
    masks = (images[:, 0] > 0).long()
    channels = images.shape[1]
    changed, targets = augmentation(words, "mask", size=size, channels=channels)(images, masks, torch.arange(COUNT))
    alone, none = augmentation(words, "", size=size, channels=channels)(images, None, torch.arange(COUNT))
    assert none is None and torch.equal(changed, alone)
    return changed, as_tensor(targets)


@pytest.mark.parametrize("words", EXACT.values(), ids=EXACT)
@pytest.mark.parametrize("shape", [(SIDE, SIDE), (17, 30), (9, 10)])
def test_a_mask_is_the_thresholded_image_where_pixels_are_only_placed_anew(words: Any, shape: tuple[int, int]) -> None:
    for channels in (1, 3):
        images = blobs(channels, *shape)
        changed, masks = moved(words, images)
        assert torch.equal(masks, (changed[:, 0] > 0).long())
        assert not torch.equal(masks, (images[:, 0] > 0).long())


@pytest.mark.parametrize("words", [*WARPS.values(), "imagenet"], ids=[*WARPS, "imagenet"])
@pytest.mark.parametrize("shape", [(SIDE, SIDE), (17, 30)])
def test_a_mask_is_the_thresholded_image_where_pixels_are_mixed(words: Any, shape: tuple[int, int]) -> None:
    """The nearest of four pixels has a quarter of the weight at least, so that brightness bounds what it can be."""
    images = blobs(3, *shape)
    changed, masks = moved(words, images)
    assert masks[changed[:, 0] > 0.75 * WHITE + 1].all()
    assert not masks[changed[:, 0] < 0.25 * WHITE - 1].any()
    clear = ((changed[:, 0] > 0.75 * WHITE + 1) | (changed[:, 0] < 0.25 * WHITE - 1)).float().mean()
    assert clear > 0.8
    assert masks.any(dim=(1, 2)).sum() > COUNT / 2
    assert not torch.equal(masks, (images[:, 0] > 0).long())


@pytest.mark.parametrize("words", ["crop", "imagenet", [{"rotate": 20}], [{"crop": 0}, "flip"], "none"])
def test_masks_of_larger_images_are_cut_with_them(words: Any) -> None:
    images = blobs()
    changed, masks = moved(words, images, size=16)
    assert changed.shape[2:] == masks.shape[1:] == (16, 16)
    assert masks[changed[:, 0] > 0.75 * WHITE + 1].all()
    assert not masks[changed[:, 0] < 0.25 * WHITE - 1].any()


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "none"])
def test_masks_stay_with_their_images_in_every_preset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Solarizing turns brightness round, so that policies are left with their motions."""
    monkeypatch.setattr("dlexp.data.augment.policies._one_color", lambda name, images, *rest: images)
    changed, masks = moved(name, blobs())
    together = []
    for image, mask in zip(changed.float().mean(dim=1).flatten(1), masks.double().flatten(1), strict=True):
        if image.std() > 10 and mask.std() > 0:
            together.append(float(np.corrcoef(image.numpy(), mask.numpy())[0, 1]))
    assert len(together) > 0.8 * COUNT
    assert min(together) > 0.5
    assert float(np.mean(together)) > 0.9


@pytest.mark.parametrize("name", ["randaugment", "trivialaugment"])
def test_masks_stay_with_their_images_in_policies(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every change of brightness left out, a policy is one or two motions, and the bounds of mixed pixels hold."""
    monkeypatch.setattr("dlexp.data.augment.policies._one_color", lambda name, images, *rest: images)
    words: Any = [name] if name == "trivialaugment" else [{name: {"operations": 1, "magnitude": 20}}]
    changed, masks = moved(words, blobs())
    assert masks[changed[:, 0] > 0.75 * WHITE + 1].all()
    assert not masks[changed[:, 0] < 0.25 * WHITE - 1].any()
    assert 5 < (masks != (blobs()[:, 0] > 0)).any(dim=(1, 2)).sum() < COUNT


@pytest.mark.parametrize("words", PIXELS.values(), ids=PIXELS)
def test_changes_of_pixels_leave_targets_alone(words: Any) -> None:
    images = blobs()
    images[:, 1] = 0
    changed, masks = moved(words, images)
    assert torch.equal(masks, (images[:, 0] > 0).long())
    assert not torch.equal(changed, images)


@pytest.mark.parametrize("words", ["strong", "randaugment", "imagenet"])
def test_targets_that_do_not_lie_on_images_are_the_same_objects(words: str) -> None:
    targets = torch.arange(COUNT)
    assert augmentation(words, "")(blobs(), targets, torch.arange(COUNT))[1] is targets


def test_masks_may_have_channels_any_type_and_another_class_outside() -> None:
    images = blobs()
    masks = (images[:, :2] > 0).to(torch.uint8) * 7
    found = as_tensor(augmentation([{"crop": 7}], "mask", fill=99)(images, masks, torch.arange(COUNT))[1])
    changed, plain = moved([{"crop": 7}], images)
    assert found.dtype == torch.uint8 and found.shape == masks.shape
    assert set(found.unique().tolist()) == {0, 7, 99}
    assert torch.equal(found[:, 0] == 7, plain == 1) and torch.equal(found[:, 0], found[:, 1])
    assert not changed[:, 0][found[:, 0] == 99].any()


def test_masks_of_another_size_than_their_images_are_refused() -> None:
    with pytest.raises(ValueError, match="masks must have the size of their images"):
        augmentation("flip", "mask")(blobs(), torch.zeros(COUNT, 5, 5), torch.arange(COUNT))


# Images whose white nobody states, and what comes from outside of them


@dataclass(frozen=True)
class DepthSpec(TargetSpec):
    """A number for each pixel, of the user's own; -1 where it is not known."""

    kind: ClassVar[str] = "depth"
    geometry: ClassVar[str] = "mask"

    @property
    def fill(self) -> int:
        return -1

    def blank(self) -> Tensor:
        return torch.zeros(1, SIDE, SIDE)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float32, torch.float64])
@pytest.mark.parametrize("words", [*EXACT.values(), *WARPS.values(), ["cutout"], [{"gray": 1.0}]], ids=str)
def test_pixels_move_without_a_known_white(words: Any, dtype: torch.dtype) -> None:
    images = blobs().to(dtype)
    spec = DataSpec(ImageSpec(3, SIDE, SIDE), DepthSpec())
    split = Split.in_memory(images, images[:, 0].float(), torch.arange(COUNT))
    transform = DataBundle(spec, dict.fromkeys(SPLITS, split), Identity(), "", {}, words, 4).recipe.transform(3, 5)
    assert transform is not None
    found, depths = transform(images, images[:, 0].float(), torch.arange(COUNT))
    expected = augmentation(words, "")(blobs(), None, torch.arange(COUNT))[0]
    assert found.dtype == dtype
    if words != ["cutout"]:  # the mean color is a share of white
        assert (found.double() - expected.double()).abs().max() <= 0.5
    outside = as_tensor(depths) == -1
    assert set(as_tensor(depths).unique().tolist()) <= {-1.0, 0.0, 255.0}
    assert not found.double().amax(dim=1)[outside].gt(0.75 * WHITE).any()


@pytest.mark.parametrize("words", ["strong", "randaugment", ["trivialaugment"], ["crop", {"color": {"hue": 0.1}}]])
def test_brightness_requires_a_known_white(words: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        recipe(words, AugmentContext(3, 4, white=None))
    (problem,) = refused.value.problems
    assert problem.code == "not-supported" and "`white`" in problem.remedy and "rotate" in problem.remedy


@pytest.mark.parametrize("ignored", [None, 0, 255])
def test_each_kind_states_what_comes_from_outside_of_an_image(ignored: int | None) -> None:
    assert MaskSpec(("a",), 2, 2, ignored).fill == (ignored or 0)
    assert BoxSpec(("a",)).fill == ClassSpec(("a",)).fill == 0


# Boxes


def boxes_of(masks: Tensor) -> Sequences:
    """The box around what is marked in each (B, H, W), of class 3; none where nothing is."""
    rows = []
    for mask in masks:
        y, x = mask.nonzero(as_tuple=True)
        rows.append([float(x.min()), float(y.min()), float(x.max()) + 1, float(y.max()) + 1, 3.0] if len(x) else [])
    lengths = torch.tensor([bool(row) for row in rows]).long()
    return Sequences(torch.tensor([row or [0.0] * 5 for row in rows])[:, None], lengths)


def rectangles() -> Tensor:
    """Like `blobs`, of one rectangle each."""
    rng, found = np.random.default_rng(1), torch.zeros(COUNT, 3, SIDE, SIDE, dtype=torch.uint8)
    for image in found:
        top, left, height, width = rng.integers(2, [15, 15, 9, 9])
        image[:, top : top + height, left : left + width] = 255
    return found


@pytest.mark.parametrize("words", EXACT.values(), ids=EXACT)
def test_a_box_is_that_around_the_moved_object(words: Any) -> None:
    images = rectangles()
    changed, found = augmentation(words, "boxes")(images, boxes_of(images[:, 0]), torch.arange(COUNT))
    expected = boxes_of(changed[:, 0])
    assert isinstance(found, Sequences)
    assert torch.equal(found.lengths, expected.lengths)
    assert torch.allclose(found.values * found.mask[..., None], expected.values[:, : found.values.shape[1]])


@pytest.mark.parametrize("words", [*WARPS.values(), "imagenet"], ids=[*WARPS, "imagenet"])
def test_a_box_holds_all_of_a_turned_object_and_little_more(words: Any) -> None:
    images = rectangles()
    changed, found = augmentation(words, "boxes")(images, boxes_of(images[:, 0]), torch.arange(COUNT))
    assert isinstance(found, Sequences)
    seen = changed[:, 0] > 0.5 * WHITE
    slack = []
    for image, box, length in zip(seen, found.values, found.lengths, strict=True):
        y, x = image.nonzero(as_tuple=True)
        if not len(x):
            continue
        assert length == 1 and box[0, 4] == 3
        left, top, right, bottom = box[0, :4].tolist()
        around = (float(x.min()), float(y.min()), float(x.max()) + 1, float(y.max()) + 1)
        assert left <= around[0] + 1 and top <= around[1] + 1 and right >= around[2] - 1 and bottom >= around[3] - 1
        slack.append(max(around[0] - left, around[1] - top, right - around[2], bottom - around[3]))
    assert len(slack) > COUNT / 2
    assert float(np.median(slack)) < 1.5


def test_boxes_that_leave_the_image_are_removed_and_the_others_close_up() -> None:
    away = torch.eye(2, 3, dtype=torch.float64).repeat(2, 1, 1)
    away[:, 0, 2] = 6.0  # what is seen was 6 pixels further to the right
    boxes = Sequences(
        torch.tensor([[[0.0, 1, 5, 4, 1], [4, 1, 9, 4, 2], [7, 2, 8, 3, 4]], [[1, 1, 2, 2, 5], *[[0.0] * 5] * 2]]),
        torch.tensor([3, 1]),
    )
    found = move_boxes(boxes, Motion(away, (10, 10), (10, 10)))
    assert found.lengths.tolist() == [2, 0]
    assert found.values.tolist() == [[[0, 1, 3, 4, 2], [1, 2, 2, 3, 4]], [[0] * 5] * 2]


# Through a split and its batches


class _Reader:
    def __init__(self, values: Tensor) -> None:
        self.values = values

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        return self.values[torch.from_numpy(rows)]


class _Processes(_Reader):
    """The number of the process that reads is in the first pixel."""

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        found = super().read(rows).to(torch.int64)
        found[..., 0, 0] = os.getpid()
        return found


@dataclass(frozen=True)
class _Mover:
    """The number of the process that changes samples is in the second pixel, of images and masks."""

    moves_targets = True

    def __call__(self, inputs: Field, targets: Field | None, indices: Tensor) -> tuple[Field, Field | None]:
        for field in (inputs, targets):
            as_tensor(field)[..., 0, 1] = os.getpid()
        return inputs, targets


@pytest.mark.parametrize("transform", [_Mover(), None])
def test_masks_that_are_read_move_in_the_processes_that_read_their_images(transform: Transform | None) -> None:
    images, numbers = blobs(1), np.arange(COUNT)
    inputs = Streamed(Stream(_Processes(images), 2), numbers, (1, SIDE, SIDE), torch.int64)
    targets = Streamed(Stream(_Processes(images[:, 0]), 2), numbers, (SIDE, SIDE), torch.int64)
    split = Split(inputs, targets, torch.arange(COUNT))
    workers = set()
    for found, masks in split.read([slice(n, n + 4) for n in range(0, COUNT, 4)], transform):
        here = as_tensor(found)[:, 0, 0, 0]
        assert torch.equal(here, as_tensor(masks)[:, 0, 0]) and int(here[0]) != os.getpid()
        assert transform is None or torch.equal(here, as_tensor(masks)[:, 0, 1])
        workers.add(int(here[0]))
    assert len(workers) == 2
    inputs.stream.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_masks_from_workers_have_the_bits_of_masks_in_memory(workers: int) -> None:
    def batches(bundle: DataBundle) -> list[Batch]:
        return [*TrainBatches(bundle, 7, 0, CPU).epoch(2), *EvalBatches(bundle, "val", 16, CPU)]

    for one, other in zip(batches(segmented(False, workers=workers)), batches(segmented(True)), strict=True):
        assert torch.equal(as_tensor(one.inputs), as_tensor(other.inputs))
        assert torch.equal(as_tensor(one.targets), as_tensor(other.targets))
        assert torch.equal(one.indices, other.indices)


def segmented(in_memory: bool, size: int = SIDE, workers: int = 0) -> DataBundle:
    """Images whose masks are their own white, or both read from elsewhere."""
    images = blobs()
    masks, numbers = (images[:, 0] > 0).to(torch.uint8), np.arange(COUNT)
    inputs: Column = Dense(images)
    targets: Column = Dense(masks)
    if not in_memory:
        inputs = Streamed(Stream(_Reader(images), workers), numbers, (3, SIDE, SIDE), torch.uint8)
        targets = Streamed(Stream(_Reader(masks), workers), numbers, (SIDE, SIDE), torch.uint8)
    split = Split(inputs, targets, torch.arange(COUNT))
    spec = DataSpec(ImageSpec(3, size, size), MaskSpec(("ground", "object"), size, size))
    return DataBundle(spec, dict.fromkeys(SPLITS, split), Identity(), "", {"white": 255}, "crop_flip", 3)


@pytest.mark.parametrize("size", [SIDE, 16])
@pytest.mark.parametrize("in_memory", [True, False])
def test_batches_hold_the_masks_of_their_images(in_memory: bool, size: int) -> None:
    bundle = segmented(in_memory, size)
    seen = {}
    for number in (7, 16):
        for batch in (*TrainBatches(bundle, number, 0, CPU).epoch(1), *EvalBatches(bundle, "val", number, CPU)):
            images, masks = as_tensor(batch.inputs), as_tensor(batch.targets)
            assert masks.shape == (len(batch), size, size)
            assert torch.equal(masks == 1, images[:, 0] > 0)
        seen[number] = {
            int(index): mask
            for batch in TrainBatches(bundle, number, 0, CPU).epoch(1)
            for index, mask in zip(batch.indices, as_tensor(batch.targets), strict=True)
        }
    assert all(torch.equal(seen[7][index], seen[16][index]) for index in seen[7])


def test_boxes_of_a_batch_are_padded_to_its_own_most() -> None:
    counts = [1 + number % 4 for number in range(COUNT)]
    boxes = torch.rand(COUNT, 4, 5, generator=generator(0, "boxes")) * 10
    boxes[..., 2:4] += boxes[..., :2] + 1
    split = Split.in_memory(blobs(), Sequences(boxes, torch.tensor(counts)), torch.arange(COUNT))
    spec = DataSpec(ImageSpec(3, SIDE, SIDE), BoxSpec(("a",)))
    bundle = DataBundle(spec, dict.fromkeys(SPLITS, split), Identity(), "", {"white": 255}, "flip")
    for batch in TrainBatches(bundle, 3, 0, CPU).epoch(0):
        assert isinstance(batch.targets, Sequences)
        assert batch.targets.lengths.tolist() == [counts[index] for index in batch.indices.tolist()]
        assert batch.targets.values.shape[1] == batch.targets.lengths.max()


def test_targets_that_stay_are_not_sent_to_the_processes_that_read() -> None:
    images = blobs()
    column = Streamed(Stream(_Reader(images), 0), np.arange(COUNT), (3, SIDE, SIDE), torch.uint8)
    labels = torch.arange(COUNT)
    split = Split(column, Dense(labels), torch.arange(COUNT))
    spec = DataSpec(ImageSpec(3, SIDE, SIDE), ClassSpec.numbered(COUNT))
    streamed = DataBundle(spec, dict.fromkeys(SPLITS, split), Identity(), "", {"white": 255}, "crop_flip", 3)
    kept = DataBundle(
        spec, dict.fromkeys(SPLITS, Split.in_memory(images, labels, torch.arange(COUNT))), Identity(), "",
        {"white": 255}, "crop_flip", 3,
    )  # fmt: skip
    transform = streamed.recipe.transform(0, 1)
    assert transform is not None and not transform.moves_targets
    pairs = zip(TrainBatches(streamed, 7, 0, CPU).epoch(1), TrainBatches(kept, 7, 0, CPU).epoch(1), strict=True)
    for one, other in pairs:
        assert torch.equal(as_tensor(one.inputs), as_tensor(other.inputs))
        assert torch.equal(as_tensor(one.targets), one.indices)
