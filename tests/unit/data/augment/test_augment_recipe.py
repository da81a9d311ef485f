"""Words to operations, and the words that mean none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from refusals import refused

from dlexp.assemble.experiment import build_data
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.data.augment.color import Color, Gray
from dlexp.data.augment.geometry import RandomAffine, ResizedCrop, Rotate
from dlexp.data.augment.operations import Crop, Cutout, Flip
from dlexp.data.augment.policies import RandAugment, TrivialAugment
from dlexp.data.augment.recipe import _OPERATIONS, PRESETS, AugmentContext, recipe
from dlexp.data.columns import tensor_of
from dlexp.data.loaders import TrainBatches
from dlexp.data.sources.sklearn_sets import digits
from dlexp.errors import ConfigError
from dlexp.types import as_tensor

COLORED, GRAYS = AugmentContext(3, 4, mean=(0.4, 0.5, 0.6)), AugmentContext(1, 4, mean=(0.4,))
JITTER = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}


def operations(words: Any, facts: AugmentContext = COLORED) -> list[Any]:
    return [step.operation for step in recipe(words, facts).steps]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("none", []),
        ("crop", [Crop(4)]),
        ("flip", [Flip()]),
        ("crop_flip", [Crop(4, flip=True)]),
        ("standard", [Crop(4, flip=True)]),
        ("strong", [Crop(4, flip=True), Rotate(15.0), Color(0.2, 0.2, 0.2)]),
        ("randaugment", [Crop(4, flip=True), RandAugment()]),
        ("trivialaugment", [Crop(4, flip=True), TrivialAugment()]),
        ("imagenet", [ResizedCrop(), Flip()]),
        ([], []),
        (["crop", {"crop": 2}], [Crop(4), Crop(2)]),
        (["flip", "crop"], [Flip(), Crop(4)]),
        (["crop", {"flip": 0.3}], [Crop(4), Flip(0.3)]),
        ([{"rotate": 30}, {"rotate": {"degrees": 5}}], [Rotate(30), Rotate(5)]),
        ([{"affine": {"translate": 0.1, "scale": [0.9, 1.1]}}], [RandomAffine(translate=0.1, scale=(0.9, 1.1))]),
        ([{"color": 0.3}, {"color": {"hue": 0.1}}], [Color(brightness=0.3), Color(hue=0.1)]),
        (["gray", {"cutout": 0.25}], [Gray(), Cutout(0.25, 1.0, (0.4 * 255, 0.5 * 255, 0.6 * 255))]),
        ([{"randaugment": {"operations": 3, "magnitude": 12}}], [RandAugment(3, 12)]),
        (["flip_upside_down"], [Flip(0.5, True)]),
    ],
)  # fmt: skip
def test_words_and_what_they_mean(words: Any, expected: list[Any]) -> None:
    assert operations(words) == expected


@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        (["rotat"], "unknown-value", "Did you mean rotate"),
        ([{"color": {"huee": 0.1}}], "unknown-key", "Did you mean hue"),
        ([{"rotate": 200}], "out-of-range", "a number from 0 to 180"),
        ([{"rotate": "far"}], "out-of-range", "a number from 0 to 180"),
        ([{"rotate": True}], "out-of-range", "a number from 0 to 180"),
        ([{"rotate": float("nan")}], "out-of-range", "a number from 0 to 180"),
        ([{"color": {"hue": 0.6}}], "out-of-range", "0 to 0.5"),
        ([{"randaugment": {"magnitude": 2.5}}], "out-of-range", "a whole number from 0 to 30"),
        ([{"affine": {"scale": 1.1}}], "out-of-range", "two increasing numbers"),
        ([{"affine": {"scale": [1.2, 0.8]}}], "out-of-range", "two increasing numbers"),
        ([{"resized_crop": {"scale": [0.5, 1.5]}}], "out-of-range", "from 0.01 to 1"),
        ([{"trivialaugment": 3}], "no-effect", "Use trivialaugment"),
        ([{"trivialaugment": {"magnitude": 3}}], "unknown-key", "has none"),
        ([{"crop": {"flip": True}}], "unknown-key", "crop"),
        ([{"cutout": {"fill": [1]}}], "unknown-key", "cutout"),
        ([{"rotate": 5, "flip": 1}], "invalid-type", "[crop, {rotate: 15}]"),
        ([["rotate"]], "invalid-type", "[crop, {rotate: 15}]"),
        ("stron", "unknown-value", "Did you mean strong"),
    ],
)
def test_words_that_mean_nothing_are_named(words: Any, code: str, shown: str) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe(words, COLORED)
    refused(caught.value, code, "data.augment")
    assert shown in str(caught.value)


@pytest.mark.parametrize(
    "words", [["gray"], [{"color": {"hue": 0.1}}], [{"color": {"brightness": 0.1, "saturation": 0.1}}]]
)
def test_colors_of_gray_images_are_refused_where_they_were_asked_for(words: Any) -> None:
    assert operations(words)
    for channels in (1, 4):
        with pytest.raises(ConfigError, match=f"{channels} channel"):
            recipe(words, AugmentContext(channels, 4))


def test_presets_leave_out_what_gray_images_have_no_use_for_and_say_so() -> None:
    found = recipe("strong", GRAYS)
    assert [step.operation for step in found.steps][-1] == Color(brightness=0.2, contrast=0.2)
    assert found.notes == ("data.augment=strong: saturation removed, for images without colors",)
    assert recipe("strong", COLORED).notes == ()
    assert operations("strong")[-1] == Color(0.2, 0.2, 0.2)  # and the preset itself is as it was


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_mirrors_what_must_not_be_mirrored(name: str) -> None:
    facts = AugmentContext(1, 1, mirrors=False, white=16, mean=(0.3,))
    found = recipe(name, facts)
    flips = any(isinstance(one, Flip) or (isinstance(one, Crop) and one.flip) for one in operations(name, facts))
    assert flips == (name in ("flip", "crop_flip"))
    assert any("mirror" in note for note in found.notes) == flips
    assert bool(found.steps) == (name != "none")


def test_samples_whose_white_is_unknown_are_moved_and_no_more() -> None:
    unknown = AugmentContext(3, 4, white=None)
    assert operations("crop_flip", unknown) == [Crop(4, flip=True)]
    with pytest.raises(ConfigError, match="known white value"):
        recipe("strong", unknown)


def test_every_operation_was_tried_above() -> None:
    assert set(_OPERATIONS) == {
        "crop", "flip", "flip_upside_down", "rotate", "affine", "resized_crop", "color", "gray", "cutout",
        "randaugment", "trivialaugment",
    }  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_from_the_command_line_and_leaves_labels_alone(name: str) -> None:
    words = ["data=synthetic_images", "data.image_size=12", "data.num_samples=120", f"data.augment={name}"]
    bundle = build_data(load(words, Catalog()))
    train = bundle.splits["train"]
    target_of = dict(zip(train.indices.tolist(), tensor_of(train.targets).tolist(), strict=True))
    (batch,) = TrainBatches(bundle, 200, 0, torch.device("cpu")).epoch(0)
    assert as_tensor(batch.inputs).shape == (len(train), 3, 12, 12)
    assert torch.isfinite(as_tensor(batch.inputs)).all()
    assert [target_of[row] for row in batch.indices.tolist()] == as_tensor(batch.targets).tolist()


def test_a_list_from_the_command_line() -> None:
    words = ["data.augment=[crop, {rotate: 20}, {cutout: {size: 0.3, probability: 0.5}}]", "data.pad=2"]
    bundle = build_data(load(words, Catalog()))
    assert [step.operation for step in bundle.recipe.steps][:2] == [Crop(2), Rotate(20)]
    with pytest.raises(ConfigError, match=r"data\.augment=strong"):
        load(["data.augment=stron"], Catalog())
    with pytest.raises(ConfigError, match=r"data\.augment=3"):
        load(["data.augment=3"], Catalog())


def test_what_is_left_out_is_a_note_of_the_run() -> None:
    bundle = build_data(load(["data.augment=strong"], Catalog()))
    assert any("saturation" in note for note in bundle.notes)
    assert digits(augment="crop").notes == ()
