"""Labels of a Hugging Face data set whose parts have class lists of their own: matched by name."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest
from image_toys import picture
from PIL import Image
from refusals import refused

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.sources.huggingface import huggingface
from dlexp.errors import DataError


def part(labels: Sequence[Any], feature: Any, first: int = 0, column: str = "label") -> Any:
    """A picture for each label; the label column is of the type `feature`."""
    images = []
    for number in range(len(labels)):
        buffer = io.BytesIO()
        Image.fromarray(picture(first + number)).save(buffer, "PNG")
        images.append({"bytes": buffer.getvalue(), "path": None})
    features = datasets.Features({"image": datasets.Image(), column: feature})
    return datasets.Dataset.from_dict({"image": images, column: list(labels)}, features=features)


def read(folder: Path, **parts: Any) -> DataBundle:
    datasets.disable_progress_bars()
    datasets.DatasetDict(parts).save_to_disk(str(folder))
    return huggingface(folder=str(folder), image_size=12, label_column="label")


def names(*given: str) -> Any:
    return datasets.ClassLabel(names=list(given))


TRAIN = part([0, 1] * 6, names("dark", "light"))


@pytest.mark.parametrize(
    ("labels", "feature", "wanted"),
    [
        ([1, 0, 0], names("light", "dark"), [0, 1, 1]),
        ([0, 0], names("light"), [1, 1]),
        ([1, 2], names("gray", "dark", "light"), [0, 1]),  # a name without samples harms nothing
        (["light", "dark"], datasets.Value("string"), [1, 0]),
    ],
)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_classes_of_another_part_are_matched_by_name(
    split: str, labels: list[Any], feature: Any, wanted: list[int], tmp_path: Path
) -> None:
    bundle = read(tmp_path / "a", train=TRAIN, **{split: part(labels, feature, 50)})
    assert bundle.spec.output_names == ("dark", "light")
    assert tensor_of(bundle.splits["val" if split == "validation" else "test"].targets).tolist() == wanted
    assert (bundle.target, bundle.omitted) == ("label", {})


@pytest.mark.parametrize(
    ("labels", "feature", "code", "where"),
    [
        ([0, 2], names("dark", "light", "gray"), "invalid-data", ["class gray in part test", "dark, light in part"]),
        ([0, 1], datasets.Value("int64"), "invalid-data", ["class 0, 1 in part test", "dark, light in part train"]),
        (["Dark"], datasets.Value("string"), "invalid-data", ["class Dark in part test"]),
        ([0, None], names("dark", "light"), "invalid-data", ["sample 1 in part test"]),
        ([[1, 0], [0, 1]], datasets.Sequence(datasets.Value("int64")), "invalid-type", ["list in part test", "argmax"]),
    ],
)
def test_classes_that_train_lacks_are_refused_by_name(
    labels: list[Any], feature: Any, code: str, where: list[str], tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a", train=TRAIN, test=part(labels, feature, 50))
    for text in where:
        refused(caught.value, code, text)


def test_texts_and_numbers_are_matched_by_value(tmp_path: Path) -> None:
    text = datasets.Value("string")
    bundle = read(tmp_path / "a", train=part(["b", "a"] * 6, text), test=part([1, 0], names("a", "b"), 50))
    assert bundle.spec.output_names == ("a", "b")
    assert tensor_of(bundle.splits["test"].targets).tolist() == [1, 0]
    whole = datasets.Value("int64")
    bundle = read(tmp_path / "b", train=part([20, 3] * 6, whole), test=part([20], datasets.Value("int8"), 50))
    assert bundle.spec.output_names == ("3", "20")
    assert tensor_of(bundle.splits["test"].targets).tolist() == [1]
    with pytest.raises(DataError) as caught:
        read(tmp_path / "c", train=part([20, 3] * 6, whole), test=part(["20"], text, 50))
    refused(caught.value, "invalid-data", "column 'label'")
    with pytest.raises(DataError, match="class '7'"):
        read(tmp_path / "d", train=part([20, 3] * 6, whole), test=part([7], whole, 50))


def test_parts_are_those_of_their_names(tmp_path: Path) -> None:
    bundle = read(tmp_path / "a", Train=TRAIN, dev=part([1] * 3, names("light", "dark"), 50), Testing=TRAIN)
    assert bundle.sizes() == {"train": 12, "val": 3, "test": 12}
    assert tensor_of(bundle.splits["val"].targets).tolist() == [0, 0, 0]
    with pytest.raises(DataError) as caught:
        read(tmp_path / "b", train=TRAIN, dev=TRAIN, validation=TRAIN)
    refused(caught.value, "invalid-data", "dev")
    assert "validation" in str(caught.value)
    with pytest.raises(DataError) as caught:
        read(tmp_path / "c", train=TRAIN, test=part([0], names("dark"), column="kind"))
    refused(caught.value, "not-found", "'label' in part test", "image, kind")
