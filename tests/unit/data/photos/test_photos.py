"""Patches of photos in two resolutions, and the pair of a style transfer: their splits, and how they are made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.data.bundle import SPLITS, DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.images.encoding import png_of
from dlexp.data.images.patches import downscaled, patches, regions
from dlexp.data.loaders import TrainBatches
from dlexp.data.sources.photos.reading import included, read_photo
from dlexp.data.sources.photos.style_pair import style_pair
from dlexp.data.sources.photos.super_resolution import photos, super_resolution
from dlexp.errors import ConfigError, DataError
from dlexp.spec_base import TargetSpec
from dlexp.specs import ImageSpec, ImageTargetSpec
from dlexp.types import as_tensor
from dlexp.workflows.data.check import find_in_data


@pytest.fixture(scope="module")
def bundle() -> DataBundle:
    return photos(patches_per_photo=None)


def test_patches_lie_beside_each_other_and_know_their_region() -> None:
    photo = torch.arange(3 * 9 * 13).reshape(3, 9, 13)
    found = patches(photo, 4)
    assert found.shape == (6, 3, 4, 4)
    assert torch.equal(found[4], photo[:, 4:8, 4:8])
    assert regions(9, 13, 4, 2).tolist() == [0, 0, 1, 0, 0, 1]
    assert regions(16, 8, 4, 2).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_low_resolutions_are_means_or_as_pillow_makes_them() -> None:
    image = torch.randint(0, 256, (1, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    area = downscaled(image, 3, "area")
    by_hand = image[0].double().unfold(1, 3, 3).unfold(2, 3, 3).mean(dim=(3, 4)).round()
    assert torch.equal(area[0].double(), by_hand)
    pillow = Image.fromarray(image[0].permute(1, 2, 0).numpy()).resize((4, 4), Image.Resampling.BICUBIC)
    apart = downscaled(image, 3, "bicubic")[0].permute(1, 2, 0).int() - torch.from_numpy(np.array(pillow)).int()
    assert apart.abs().max() <= 1
    plain = torch.full((1, 3, 8, 8), 77, dtype=torch.uint8)
    assert downscaled(plain, 4, "bicubic").unique().tolist() == [77]
    with pytest.raises(ValueError, match=r"Set data\.patch_size=10"):
        downscaled(image[:, :, :11, :11], 5, "area")


def test_no_region_of_a_photo_is_in_two_splits_and_no_patch_is_missing(bundle: DataBundle) -> None:
    assert bundle.groups is not None and len(bundle.groups) == 2 * 13 * 20
    of_split = [set(bundle.groups[bundle.splits[name].indices.numpy()].tolist()) for name in SPLITS]
    assert set.union(*of_split) == set(range(40))
    assert sum(map(len, of_split)) == 40
    assert sum(bundle.sizes().values()) == 520
    assert bundle.spec.inputs == ImageSpec(3, 16, 16)
    assert bundle.spec.targets == ImageTargetSpec(3, 32, 32, 255, 2)
    assert TargetSpec.from_plain(bundle.spec.targets.to_plain()) == bundle.spec.targets
    part = bundle.splits["val"]
    assert torch.equal(tensor_of(part.inputs), downscaled(tensor_of(part.targets), 2, "bicubic"))
    row = int(part.indices[0])
    photo, number = divmod(row, 260)
    whole = read_photo(included(("china.jpg", "flower.jpg")[photo]))
    top, left = 32 * (number // 20), 32 * (number % 20)
    assert torch.equal(tensor_of(part.targets)[0], whole[:, top : top + 32, left : left + 32])
    assert bundle.named is not None and bundle.named(np.array([0, 519])) == [
        "china.jpg, patch 0",
        "flower.jpg, patch 519",
    ]


def test_a_target_moves_exactly_as_its_input(bundle: DataBundle) -> None:
    moved = replace(bundle, augment=["flip", "flip_upside_down"])
    seen = 0
    for batch in TrainBatches(moved, 64, 0, torch.device("cpu")).epoch(1):
        again = downscaled(as_tensor(batch.targets), 2, "bicubic")
        low = as_tensor(moved.preprocess(again))
        assert torch.allclose(as_tensor(batch.inputs), low, atol=0.05)  # of a level of rounding
        seen += len(batch)
    assert seen == len(bundle.splits["train"])
    shifted = replace(bundle, augment=["crop"], pad=2)
    batch = next(TrainBatches(shifted, 64, 0, torch.device("cpu")).epoch(0))
    inputs, targets = as_tensor(batch.inputs), as_tensor(batch.targets)
    black = as_tensor(moved.preprocess(torch.zeros(1, 3, 16, 16, dtype=torch.uint8)))
    is_out = (inputs == black).all(dim=1)
    edge = is_out[:, 0].all(dim=1)  # images whose first row came from outside
    assert edge.any() and targets[edge][:, :, :2].max() == 0
    with pytest.raises(ConfigError) as refused:
        replace(bundle, augment=[{"rotate": 15}])
    assert refused.value.problems[0].code == "cannot-combine"
    assert refused.value.problems[0].remedy == "Set data.augment=crop_flip"


def photos_in(folder: Path, count: int, side: int = 40) -> Path:
    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / ("a" if number % 2 else "b")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(png_of(rng.random((3, side, side + number))))
    return folder


def test_five_photos_of_ones_own_are_divided_as_wholes_and_fewer_by_region(tmp_path: Path) -> None:
    many = super_resolution(path=str(photos_in(tmp_path / "many", 6)), patch_size=8, patches_per_photo=4, factor=4)
    assert sum(many.sizes().values()) == 24
    assert many.groups is not None and sorted(set(many.groups.tolist())) == list(range(6))
    assert "each photo is in one split" in many.notes[0]
    again = super_resolution(path=str(tmp_path / "many"), patch_size=8, patches_per_photo=4, factor=4)
    assert again.fingerprint == many.fingerprint and again.split_hash == many.split_hash
    few = super_resolution(path=str(photos_in(tmp_path / "few", 2)), patch_size=8)
    assert few.groups is not None and len(set(few.groups.tolist())) > 2


@pytest.mark.parametrize(("content", "code"), [(b"no image", "invalid-data"), (None, "not-found")])
def test_files_that_cannot_be_used_are_named(tmp_path: Path, content: bytes | None, code: str) -> None:
    if content:
        (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(DataError) as refused:
        super_resolution(path=str(tmp_path))
    assert refused.value.code == code and refused.value.remedy
    assert str(refused.value.file).endswith("x.png" if content else tmp_path.name)


def test_a_photo_smaller_than_a_patch_and_a_path_that_is_no_folder_are_refused(tmp_path: Path) -> None:
    folder = photos_in(tmp_path, 1, side=20)
    with pytest.raises(DataError) as refused:
        super_resolution(path=str(folder))
    assert refused.value.remedy.startswith("Set data.patch_size=20")
    with pytest.raises(DataError) as refused:
        super_resolution(path=str(folder / "b" / "0.png"))
    assert refused.value.code == "invalid-type" and str(folder / "b") in refused.value.remedy


def test_a_pair_has_the_shape_of_its_content_and_one_sample_for_each_update(tmp_path: Path) -> None:
    content, style = tmp_path / "content.png", tmp_path / "style.png"
    content.write_bytes(png_of(np.full((3, 20, 40), 0.2)))
    style.write_bytes(png_of(np.full((3, 50, 30), 0.8)))
    found = style_pair(content=str(content), style=str(style), longer_side=16, updates_per_epoch=7)
    assert found.spec.inputs.shape == (3, 8, 16)
    assert found.spec.targets == ImageTargetSpec(3, 8, 16)
    assert found.sizes() == {"train": 7, "val": 1, "test": 1}
    indices = torch.cat([found.splits[name].indices for name in SPLITS])
    assert indices.tolist() == list(range(9))
    part = found.splits["train"].select(torch.tensor([0, 6]))
    assert tensor_of(part.inputs).unique().tolist() == [51]
    assert tensor_of(part.targets).unique().tolist() == [204]
    with pytest.raises(DataError) as refused:
        style_pair(content=str(tmp_path / "contents.png"))
    assert refused.value.remedy == "Did you mean content.png?"
    thin = tmp_path / "thin.png"
    thin.write_bytes(png_of(np.full((3, 2, 200), 0.5)))
    with pytest.raises(DataError) as refused:
        style_pair(content=str(thin))
    assert refused.value.code == "incompatible-data"


def test_a_gray_file_has_three_channels(tmp_path: Path) -> None:
    (tmp_path / "gray.png").write_bytes(png_of(np.full((1, 4, 6), 0.5)))
    assert read_photo(tmp_path / "gray.png").shape == (3, 4, 6)


def test_the_one_pair_is_not_searched_for_duplicates() -> None:
    config = load(["data=style_pair", "data.longer_side=16"], Catalog())
    findings = find_in_data(style_pair(longer_side=16), config).findings
    assert [one.kind for one in findings] == ["not-checked"]
