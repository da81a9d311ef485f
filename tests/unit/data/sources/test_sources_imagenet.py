"""ImageNet's layout in small: numbered class folders, the official validation part, names of the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from image_toys import picture, write
from PIL import Image
from refusals import refused
from typed_specs import affine_of

from dlexp.data.columns import tensor_of
from dlexp.data.loaders import EvalBatches
from dlexp.data.sources.imagenet import imagenet
from dlexp.errors import DataError
from dlexp.types import as_tensor

NUMBERS = ("n01440764", "n02012849", "n03126707")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six training and two validation images of each class, and the unlabeled test images that Kaggle's set has."""
    place = tmp_path / "imagenet"
    for index, number in enumerate(NUMBERS):
        for image in range(6):
            write(
                place / "train" / number / f"{number}_{image}.JPEG", picture(10 * index + image, 24, 30), format="JPEG"
            )
        for image in range(2):
            name = f"ILSVRC2012_val_{index}{image}.JPEG"
            write(place / "val" / number / name, picture(100 + 10 * index + image, 24, 30), format="JPEG")
    write(place / "test" / "ILSVRC2012_test_1.JPEG", picture(1), format="JPEG")
    (place / "devkit").mkdir()
    return place


def test_the_official_part_is_the_test_split(root: Path) -> None:
    bundle = imagenet(path=str(root), image_size=16, resize_to=None, val_fraction=0.3)
    assert bundle.sizes() == {"train": 12, "val": 6, "test": 6}
    assert bundle.spec.output_names == NUMBERS
    assert bundle.spec.inputs.shape == (3, 16, 16)
    files = sorted(path.relative_to(root) for part in ("train", "val") for path in (root / part).rglob("*.JPEG"))
    assert {files[row].parts[0] for row in bundle.splits["test"].indices} == {"val"}
    assert {files[row].parts[0] for name in ("train", "val") for row in bundle.splits[name].indices} == {"train"}
    for split in bundle.splits.values():
        assert [NUMBERS[target] for target in tensor_of(split.targets)] == [
            files[row].parts[1] for row in split.indices
        ]
    other = imagenet(path=str(root), image_size=16, resize_to=None, val_fraction=0.3, official_val="val")
    assert torch.equal(other.splits["val"].indices, bundle.splits["test"].indices)
    assert torch.equal(other.splits["test"].indices, bundle.splits["val"].indices)
    assert bundle.left_out == ()


def test_the_usual_normalization(root: Path) -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    bundle = imagenet(path=str(root), image_size=16, resize_to=None, val_fraction=0.3, mean=mean, std=std)
    white = as_tensor(bundle.preprocess(torch.full((1, 3, 16, 16), 255, dtype=torch.uint8)))
    assert white[0, :, 0, 0].tolist() == pytest.approx([(1 - m) / s for m, s in zip(mean, std, strict=True)], rel=1e-5)


def test_evaluation_sees_the_middle_of_what_files_are_brought_to(root: Path) -> None:
    """Against Pillow's own square, Resize(20) and CenterCrop(16), as near as two decoders are to each other."""
    bundle = imagenet(path=str(root), image_size=16, resize_to=20, val_fraction=0.3)
    assert bundle.spec.inputs.shape == (3, 16, 16)
    (batch,) = EvalBatches(bundle, "test", 8, torch.device("cpu"))
    seen = (as_tensor(batch.inputs) - affine_of(bundle.preprocess).shift) / affine_of(bundle.preprocess).scale
    assert seen.shape == (6, 3, 16, 16)
    files = sorted((root / "val").rglob("*.JPEG"))
    for image, file in zip(seen, files, strict=True):
        square = Image.open(file).convert("RGB").crop((3, 0, 27, 24))
        wanted = np.asarray(square.resize((20, 20), Image.Resampling.BILINEAR)).astype(float)[2:18, 2:18]
        assert np.abs(image.permute(1, 2, 0).numpy() - wanted).max() < 8
    with pytest.raises(ValueError, match="resize_to=8"):
        imagenet(path=str(root), image_size=16, resize_to=8)


def test_classes_have_words_where_a_file_says_them(root: Path) -> None:
    lines = ("n01440764 tench, Tinca tinca", "n02012849 crane", "n03126707 crane", "n09999999 else")
    (root / "LOC_synset_mapping.txt").write_text("\n".join(lines))
    found = imagenet(path=str(root), image_size=16, resize_to=None, val_fraction=0.3)
    assert found.spec.output_names == ("tench", "crane (n02012849)", "crane (n03126707)")
    (root / "LOC_synset_mapping.txt").rename(root / "words.txt")
    assert (
        imagenet(path=str(root), image_size=16, resize_to=None, val_fraction=0.3).spec.output_names
        == found.spec.output_names
    )


def test_what_is_missing_is_said_with_where_it_belongs(root: Path, tmp_path: Path) -> None:
    def refuses(path: Path, code: str, where: str, remedy: str = "") -> None:
        with pytest.raises(DataError) as caught:
            imagenet(path=str(path), image_size=16, resize_to=None)
        refused(caught.value, code, where, remedy)

    refuses(tmp_path / "none", "not-found", "folder train", "PATH/train/nXXXXXXXX")
    for file in (root / "val").rglob("*.JPEG"):  # as the official archive has them
        file.rename(root / "val" / file.name)
    for number in NUMBERS:
        (root / "val" / number).rmdir()
    refuses(root, "not-found", "folder val")
    (root / "val" / "n00000001").mkdir()
    refuses(root, "too-few-samples", "'n00000001'")
