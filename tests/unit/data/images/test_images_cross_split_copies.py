"""Copies of a file in several splits: named, refused where the folder itself is so divided, told otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from image_toys import write_folder
from refusals import refused

from dlexp.data.sources.image_folder import image_folder
from dlexp.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, first in (("train", 0), ("val", 100), ("test", 200)):
        write_folder(tmp_path / "pets" / name, per_class=4, first=first)
    return tmp_path / "pets"


def copied(root: Path, *pairs: tuple[str, str]) -> None:
    for source, target in pairs:
        shutil.copy(root / source, root / target)


def test_copies_across_the_folders_splits_are_refused_by_name(root: Path) -> None:
    assert image_folder(path=str(root), image_size=12).notes == ()
    copied(root, ("train/cat/000.jpg", "test/dog/x.jpg"), ("val/owl/001.jpg", "train/owl/y.jpg"))
    copied(root, ("train/cat/000.jpg", "val/cat/z.jpg"), ("train/cat/002.jpg", "train/cat/same.jpg"))
    with pytest.raises(DataError) as caught:
        image_folder(path=str(root), image_size=12)
    lines = str(caught.value).splitlines()
    refused(caught.value, "invalid-data", "2 images", "data.allow_duplicates=true")
    assert lines[1:3] == ["  test/dog/x.jpg = train/cat/000.jpg = val/cat/z.jpg", "  train/owl/y.jpg = val/owl/001.jpg"]
    assert "data.allow_duplicates=true" in lines[3]
    (note,) = image_folder(path=str(root), image_size=12, allow_duplicates=True).notes
    assert note.startswith("2 images") and "test/dog/x.jpg = train/cat/000.jpg = " in note
    assert "train/owl/y.jpg = val/owl/001.jpg" in note


def test_copies_across_drawn_splits_are_told(root: Path, tmp_path: Path) -> None:
    whole = write_folder(tmp_path / "whole")
    for number in range(8):
        copied(whole, (f"cat/{number:03}.jpg", f"cat/copy{number}.jpg"))
    bundle = image_folder(path=str(whole), image_size=12, val_fraction=0.3, test_fraction=0.3)
    files = sorted(str(path.relative_to(whole)) for path in whole.rglob("*.jpg"))
    place = {files[row]: name for name, split in bundle.splits.items() for row in split.indices}
    apart = [n for n in range(8) if place[f"cat/{n:03}.jpg"] != place[f"cat/copy{n}.jpg"]]
    assert len(apart) >= 2
    (note,) = bundle.notes
    assert note.startswith(f"{len(apart)} images")
    assert f"cat/{apart[0]:03}.jpg = cat/copy{apart[0]}.jpg" in note
    shutil.rmtree(root / "val")  # drawn from train; a copy of it is no fault of the folder
    copied(root, *((f"train/dog/{number:03}.jpg", f"train/dog/copy{number}.jpg") for number in range(4)))
    notes = image_folder(path=str(root), image_size=12, val_fraction=0.5).notes
    assert all("drawn" in note for note in notes)


def test_large_files_that_differ_in_the_middle_alone_are_no_copies(root: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    size = 54 + pixels.size
    header = b"BM" + size.to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
    header += (200).to_bytes(4, "little") * 2 + (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + bytes(24)
    content = bytearray(header + pixels.tobytes())
    (root / "train" / "cat" / "large.bmp").write_bytes(content)
    content[len(content) // 2] ^= 1
    (root / "test" / "cat" / "large.bmp").write_bytes(content)
    assert image_folder(path=str(root), image_size=12).notes == ()
    shutil.copy(root / "train" / "cat" / "large.bmp", root / "test" / "cat" / "large.bmp")
    with pytest.raises(DataError) as caught:
        image_folder(path=str(root), image_size=12)
    refused(caught.value, "invalid-data", str(root), "data.allow_duplicates=true")
