"""Groups of image files by folder and by pattern, and folders of their own for validation and test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlexp.data.bundle import DataBundle
from dlexp.data.sources.image_folder import image_folder
from dlexp.errors import ConfigError, DataError


def make(root: Path, people: range, deep: bool = True) -> Path:
    rng = np.random.default_rng(people.start)
    for person in people:
        folder = root / ("cat", "dog")[person % 2] / (f"p{person}" if deep else "")
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(3 + person % 3):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"p{person}_{number}.png")
    return root


def people(bundle: DataBundle) -> list[set[str]]:
    assert bundle.named is not None
    rows = (bundle.splits[name].indices.numpy() for name in ("train", "val", "test"))
    return [{Path(name).name.split("_")[0] for name in bundle.named(some)} for some in rows]


@pytest.mark.parametrize("group", ["folder", "^p[0-9]+/(p[0-9]+)_", "p[0-9]+"])
def test_no_group_of_files_is_in_two_splits(tmp_path: Path, group: str) -> None:
    root = make(tmp_path / "a", range(24))
    train, val, test = people(image_folder(path=str(root), image_size=8, group=group))
    assert train and val and test and not (train & val or train & test or val & test)
    plain = people(image_folder(path=str(root), image_size=8))
    assert plain[0] & plain[2]


def test_files_without_a_group_are_refused(tmp_path: Path) -> None:
    root = make(tmp_path / "a", range(8), deep=False)
    with pytest.raises(DataError, match="below its class") as caught:
        image_folder(path=str(root), image_size=8, group="folder")
    assert "data.group=" in caught.value.remedy
    with pytest.raises(DataError, match="does not match"):
        image_folder(path=str(root), image_size=8, group="^(x)")
    with pytest.raises(ConfigError, match="regular expression"):
        image_folder(path=str(root), image_size=8, group="(")
    assert all(people(image_folder(path=str(root), image_size=8, group="^([^_]+)_")))


def test_folders_of_their_own_are_the_splits(tmp_path: Path) -> None:
    train, val, test = (make(tmp_path / name, range(n, n + 6)) for name, n in (("a", 0), ("b", 10), ("c", 20)))
    bundle = image_folder(path=str(train), val_path=str(val), test_path=str(test), image_size=8, group="folder")
    assert [min(names) for names in people(bundle)] == ["p0", "p10", "p20"]
    held = image_folder(path=str(train), val_path=str(val), image_size=8)
    assert held.sizes()["val"] == bundle.sizes()["val"]
    (test / "bird").mkdir()
    Image.new("RGB", (8, 8)).save(test / "bird" / "x.png")
    with pytest.raises(DataError, match="bird"):
        image_folder(path=str(train), val_path=str(val), test_path=str(test), image_size=8)
