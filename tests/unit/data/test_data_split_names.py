"""Splits by their names: folders, arrays and parts; recognized, or refused by name, and never taken for classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_toys import picture, write
from refusals import refused

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.sources.arrays import arrays
from dlexp.data.sources.image_folder import image_folder
from dlexp.data.split_names import lookalikes, standard_split
from dlexp.errors import DataError

NAMES = ("cat", "dog")


def folder(root: Path, **parts: int) -> Path:
    """root/PART/CLASS/N.png with so many pictures of each class, all different; __ in a name stands for a /."""
    first = 0
    for part, count in parts.items():
        for name in NAMES:
            for number in range(count):
                write(root / part.replace("__", "/") / name / f"{number}.png", picture(first + number))
            first += 7 * count
    return root


def read(root: Path) -> DataBundle:
    return image_folder(path=str(root), image_size=12, allow_duplicates=True)


def parts_of(root: Path, bundle: DataBundle) -> dict[str, set[str]]:
    """Split -> the folders that its samples are from."""
    files = sorted(path.relative_to(root) for path in root.rglob("*.png"))
    return {name: {files[row].parts[0] for row in split.indices} for name, split in bundle.splits.items()}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("Train", "Val", "Test"),
        ("TRAIN", "VALID", "TEST"),
        ("training", "validation", "testing"),
        ("Training", "dev", "Test"),
        ("train", "eval", "test"),
    ],
)
def test_folders_of_splits_are_recognized_however_they_are_written(
    train: str, val: str, test: str, tmp_path: Path
) -> None:
    root = folder(tmp_path / "pets", **{train: 6, val: 3, test: 4})
    bundle = read(root)
    assert bundle.spec.output_names == NAMES
    assert parts_of(root, bundle) == {"train": {train}, "val": {val}, "test": {test}}
    two = folder(tmp_path / "two", **{train: 8, test: 4})
    bundle = read(two)
    assert bundle.spec.output_names == NAMES
    assert parts_of(two, bundle) == {"train": {train}, "val": {train}, "test": {test}}
    one = folder(tmp_path / "one", **{train: 8})
    assert read(one).spec.output_names == NAMES


@pytest.mark.parametrize(
    ("parts", "code", "where"),
    [
        ({"Train": 4, "Test": 4, "extra": 4}, "invalid-data", ["'Test' and 'Train'", "'extra'"]),
        ({"train": 4, "test_set": 4}, "invalid-data", ["'train'", "'test_set'"]),
        ({"val": 4, "Test": 4}, "not-found", ["'Test' and 'val'"]),
        ({"train": 4, "valid": 4, "Val": 4}, "invalid-data", ["Val and valid"]),
        ({"Train": 4, "train": 4}, "invalid-data", ["Train and train"]),
        ({"seg_train": 4, "seg_test": 4, "seg_pred": 4}, "invalid-data", ["'seg_test' and 'seg_train'"]),
        ({"train2017": 4, "val2017": 4}, "invalid-data", ["'train2017' and 'val2017'"]),
        ({"trainImages": 4, "Holdout-test": 4}, "invalid-data", ["'Holdout-test' and 'trainImages'"]),
        ({"pets__train": 4, "pets__test": 4}, "invalid-data", ["'pets'", "data.path="]),
    ],
)
def test_folders_that_may_be_splits_are_refused_by_name(
    parts: dict[str, int], code: str, where: list[str], tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read(folder(tmp_path / "a", **parts))
    for text in where:
        refused(caught.value, code, text)


def test_splits_without_folders_of_classes_are_no_classes(tmp_path: Path) -> None:
    for part in ("Train", "Test"):
        for number in range(6):
            write(tmp_path / part / f"{number}.png", picture(number))
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    refused(caught.value, "invalid-data", "'Test' and 'Train'")


def test_splits_within_the_classes_are_not_mixed(tmp_path: Path) -> None:
    for name in NAMES:
        for part in ("train", "Test"):
            for number in range(4):
                write(tmp_path / "a" / name / part / f"{number}.png", picture(number))
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a")
    refused(caught.value, "invalid-data", "'Test' and 'train'", "Test/cat")


def test_what_lies_beside_the_splits_is_told(tmp_path: Path) -> None:
    root = folder(tmp_path / "a", train=8)
    (root / "labels").mkdir()
    (root / "labels" / "all.csv").write_text("x")
    write(root / "test" / "1.png", picture(1))
    bundle = read(root)
    other, loose = bundle.notes
    assert other.startswith("1 file ") and other.endswith(": labels/all.csv")
    assert loose.startswith("1 file ") and loose.endswith(": test/1.png")
    assert set(bundle.left_out) == {"labels/all.csv", "test/1.png"}


def test_names_of_classes_stay_classes(tmp_path: Path) -> None:
    assert lookalikes(["bullet_train", "test_tube", "cat"]) == []
    assert lookalikes(["train", "plane", "valid_ticket"]) == []
    assert lookalikes(["a_train", "b_train"]) == []
    assert lookalikes(["trainer", "tester"]) == []
    assert [standard_split(name) for name in ("trains", "evaluations", "", "pets")] == [""] * 4
    for number in range(4):
        for name in ("control", "test"):
            write(tmp_path / name / f"{number}.png", picture(number))
    assert read(tmp_path).spec.output_names == ("control", "test")


def test_a_class_that_a_part_lacks_keeps_its_place(tmp_path: Path) -> None:
    root = folder(tmp_path / "a", train=6, val=2)
    for number in range(3):
        write(root / "test" / "dog" / f"{number}.png", picture(50 + number))
    bundle = read(root)
    assert bundle.spec.output_names == NAMES
    assert tensor_of(bundle.splits["test"].targets).tolist() == [1, 1, 1]


X, Y = np.arange(120.0).reshape(40, 3) % 7, np.array(["b", "a"] * 20)


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("x_train", "x_valid", "x_test"), (20, 10, 10)),
        (("x_Train", "x_dev", "x_Testing"), (20, 10, 10)),
        (("train_x", "validation_x", "test_x"), (20, 10, 10)),
    ],
)
def test_arrays_of_parts_are_recognized(names: tuple[str, ...], sizes: tuple[int, ...], tmp_path: Path) -> None:
    edges = np.cumsum([0, *sizes])
    given: dict[str, Any] = {
        name: X[start:stop] for name, start, stop in zip(names, edges, edges[1:], strict=False)
    } | {name.replace("x", "y"): Y[start:stop] for name, start, stop in zip(names, edges, edges[1:], strict=False)}
    np.savez(tmp_path / "a.npz", **given)
    bundle = arrays(path=str(tmp_path / "a.npz"))
    assert tuple(bundle.sizes().values()) == sizes
    assert bundle.spec.output_names == ("a", "b")
    assert torch.equal(tensor_of(bundle.splits["val"].targets), torch.tensor([1, 0] * 5))
    assert bundle.omitted == {}


def test_arrays_that_may_be_parts_are_refused_by_name(tmp_path: Path) -> None:
    def refuses(code: str, where: str, remedy: str, **given: Any) -> None:
        np.savez(tmp_path / "a.npz", **given)
        with pytest.raises(DataError) as caught:
            arrays(path=str(tmp_path / "a.npz"))
        refused(caught.value, code, where, remedy)

    refuses("invalid-data", "'x_test'", "'x' as 'x_train'", x=X, y=Y, x_test=X, y_test=Y)
    both = {"x_val": X, "y_val": Y, "x_valid": X, "y_valid": Y}
    refuses("invalid-data", "val and valid", "", x_train=X, y_train=Y, **both)
    refuses("not-found", "'x' (data.inputs)", "data.inputs=X?", X_train=X, y_train=Y, X_test=X, y_test=Y)
    np.savez(tmp_path / "a.npz", x=X, y=Y, x_test=X)  # a competition's: nothing says what its samples are
    assert set(arrays(path=str(tmp_path / "a.npz")).omitted) == {"x_test"}


ONE_HOT = np.eye(3)[np.arange(40) % 3]


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool", "float32", "float64"])
def test_one_hot_rows_are_classes(kind: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=ONE_HOT.astype(kind))
    bundle = arrays(path=str(tmp_path / "a.npz"))
    assert bundle.spec.output_names == ("0", "1", "2")
    for split in bundle.splits.values():
        assert torch.equal(tensor_of(split.targets), split.indices % 3)
    values = arrays(path=str(tmp_path / "a.npz"), target_kind="value") if kind != "bool" else None
    assert values is None or values.spec.output_names == ("y_0", "y_1", "y_2")


def test_several_ones_are_no_class(tmp_path: Path) -> None:
    many = ONE_HOT.astype(int)
    many[5] = [1, 1, 0]
    np.savez(tmp_path / "a.npz", x=X, y=many)
    with pytest.raises(DataError) as caught:
        arrays(path=str(tmp_path / "a.npz"))
    refused(caught.value, "invalid-data", "sample 5", "data.target_kind=value")
    np.savez(tmp_path / "a.npz", x=X, y=ONE_HOT * 0.5 + 0.25)
    assert arrays(path=str(tmp_path / "a.npz")).spec.target_kind == "value"
    with pytest.raises(DataError) as caught:
        arrays(path=str(tmp_path / "a.npz"), target_kind="class")
    refused(caught.value, "invalid-type", "'y'", "argmax")
    parts: dict[str, Any] = {"x_train": X, "y_train": ONE_HOT, "x_test": X, "y_test": np.arange(40) % 3}
    np.savez(tmp_path / "a.npz", **parts)
    assert torch.equal(tensor_of(arrays(path=str(tmp_path / "a.npz")).splits["test"].targets), torch.arange(40) % 3)
    np.savez(tmp_path / "a.npz", **{**parts, "y_train": ONE_HOT + 1})
    with pytest.raises(DataError) as caught:
        arrays(path=str(tmp_path / "a.npz"))
    refused(caught.value, "invalid-data", "'y'")
