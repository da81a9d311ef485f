"""`dlexp data check` over whole data sets: clean ones pass, and what is planted is found, named and weighed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dlexp.assemble.experiment import build_data
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.data.checks import image_scan
from dlexp.data.columns import Dense, tensor_of
from dlexp.errors import DataError
from dlexp.workflows.data.check import check

pytestmark = pytest.mark.pictures

Facts = dict[str, Any]


def checked(words: tuple[str, ...], folder: Path) -> Facts:
    return check(load(list(words), Catalog()), folder, ())


def kinds(facts: Facts) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in facts["findings"]:
        found.setdefault(one["kind"], []).append(one["severity"])
    return found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("data=digits",), {"dead pixels": ["note"]}),
        (("data=wine",), {"small split": ["note", "note"], "outliers": ["note"]}),
        (("data=iris",), {"small split": ["note", "note"], "duplicates": ["note"]}),
        (("data=breast_cancer",), {"outliers": ["note"]}),
        (("data=diabetes",), {"outliers": ["note"]}),
        (("data=synthetic_images", "data.num_samples=600", "data.image_size=16"), {}),
        (("data=synthetic_regression",), {}),
    ],
)
def test_data_that_comes_along_has_no_warnings(words: tuple[str, ...], expected: Facts, tmp_path: Path) -> None:
    facts = checked(words, tmp_path)
    assert kinds(facts) == expected
    assert facts["counts"]["error"] == facts["counts"]["warning"] == 0
    assert json.loads((tmp_path / "check.json").read_text()) == facts
    with Image.open(tmp_path / "check.png") as picture:
        assert picture.width >= 600
        assert len(picture.convert("L").getcolors(256) or ()) > 10
    bundle = build_data(load(list(words), Catalog()))
    assert {name: split["samples"] for name, split in facts["splits"].items()} == bundle.sizes()


@pytest.mark.parametrize("split_seed", range(3))
def test_the_copy_in_iris_is_no_error_wherever_it_falls(split_seed: int, tmp_path: Path) -> None:
    facts = checked(("data=iris", f"data.split_seed={split_seed}"), tmp_path)
    assert facts["counts"]["error"] == 0
    (copy,) = [one for one in facts["findings"] if one["kind"].startswith("duplicates")]
    assert "row 101" in copy["where"][0]
    assert "row 142" in copy["where"][0]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """300 rows of a table with one fault of every kind, and an empty line that no row number counts."""
    rng = np.random.default_rng(0)
    lines = ["id,age,cm,inch,flat,leak,income,who", ""]
    for number in range(300):
        height, who = rng.normal(170, 10), "ab"[number % 2]
        age = "" if number % 9 == 0 else f"{rng.normal(40, 9):.3f}"
        income = 999999 if number == 13 else f"{rng.normal(50, 5):.3f}"
        leak = f"{(10 if who == 'a' else 90) + rng.random():.3f}"
        lines.append(f"{number},{age},{height:.4f},{height / 2.54:.6f},5,{leak},{income},{who}")
    lines += lines[2:12]
    lines += [lines[20][:-1] + ("b" if lines[20].endswith("a") else "a")]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_table_with_a_fault_of_every_kind(people: Path, tmp_path: Path) -> None:
    words = ("data=csv", f"data.path={people}", "data.target=who", "data.columns={id:drop}")
    facts = checked((*words, "data.standardize=false"), tmp_path / "out")
    found = {one["kind"]: one for one in facts["findings"] if one["severity"] == "warning"}
    assert found["constant"]["where"] == ["flat"]
    assert found["constant"]["remedy"] == "'data.columns={id:drop,flat:drop}'"
    assert found["redundant columns"]["where"] == ["cm = inch"]
    assert found["outliers"]["where"][0].startswith("income: 1, such as 999999 in line 16")
    assert found["leak"]["where"][0].startswith("leak: ")
    assert {place.partition(":")[0] for place in found["not normalized"]["where"]} >= {"age", "cm", "inch"}
    assert found["not normalized"]["remedy"] == "data.standardize=true"
    (conflict,) = found["conflict"]["where"]
    assert "line 21" in conflict
    assert "line 313" in conflict
    assert kinds(facts)["missing"] == ["note"]
    (missing,) = [one for one in facts["findings"] if one["kind"] == "missing"]
    assert missing["where"] == ["age: 37 (11.9 %), such as line 3"]
    copied = [one for one in facts["findings"] if one["kind"].startswith("duplicates")]
    assert sum(one["count"] for one in copied) == 10
    # What is found is gone when the remedies are typed.
    cured = checked(
        (*words[:3], "data.columns={id:drop,flat:drop,inch:drop,leak:drop}", "data.standardize=true"), tmp_path / "out"
    )
    assert {"constant", "redundant columns", "leak", "not normalized"} & set(kinds(cured)) == set()


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """300 digits as files in train, val and test: five broken, one text file, three copies across the splits."""
    table = build_data(load(["data=digits"], Catalog())).splits["train"]
    root = tmp_path / "digits"
    for number, (image, label) in enumerate(
        zip(tensor_of(table.inputs)[:300], tensor_of(table.targets).tolist(), strict=False)
    ):
        folder = root / ("train", "val", "test")[min(2, max(0, number % 10 - 7))] / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image[0].numpy() * 15).astype(np.uint8)).save(folder / f"{number:03}.png")
    files = sorted(root.glob("train/*/*.png"))
    for number, file in enumerate(files[::40][:5]):
        content = file.read_bytes()
        file.write_bytes((b"", content[:40], content[: len(content) // 2], b"hello", content[:60])[number])
    (root / "train" / "3" / "notes.txt").write_text("a text")
    for number, split in enumerate(("val", "val", "test")):
        source = files[7 + 40 * number]
        shutil.copy(source, root / split / source.parent.name / f"copy{number}.png")
    return root


def test_each_of_nine_faults_in_a_folder_is_named(digits: Path, tmp_path: Path) -> None:
    words = ("data=image_folder", f"data.path={digits}", "data.image_size=8", "data.pad=1")
    facts = checked(words, tmp_path)
    found = {one["kind"]: one for one in facts["findings"]}
    broken, copied, other = found["unreadable"], found["duplicates across splits"], found["other files"]
    assert (broken["severity"], copied["severity"], other["severity"]) == ("error", "error", "note")
    files = sorted(path.relative_to(digits).as_posix() for path in digits.glob("train/*/*.png"))
    assert [place.partition(" (")[0] for place in broken["where"]] == files[::40][:5]
    assert "data.on_bad=skip" in broken["remedy"]
    assert other["where"] == ["train/3/notes.txt"]
    assert copied["count"] == 3
    for number, place in enumerate(sorted(copied["where"])):
        split = ("val", "val", "test")[number]
        assert place.startswith(f"{files[7 + 40 * number]} (train) = {split}/")
        assert place.endswith(f"copy{number}.png ({split})")
    # What the settings allow is told and not refused; streamed, the same is found.
    allowed = checked((*words, "data.on_bad=skip", "data.allow_duplicates=true"), tmp_path)
    assert kinds(allowed)["unreadable"] == kinds(allowed)["duplicates across splits"] == ["warning"]
    streamed = checked((*words, "data.in_memory=false", "data.workers=0"), tmp_path)
    assert streamed["findings"] == facts["findings"]


def test_images_without_a_fault_in_the_same_folder_have_no_errors(digits: Path, tmp_path: Path) -> None:
    broken = sorted(digits.glob("train/*/*.png"))[::40][:5]
    for path in (*broken, *digits.rglob("copy*.png"), *digits.rglob("*.txt")):
        path.unlink()
    facts = checked(("data=image_folder", f"data.path={digits}", "data.image_size=8", "data.pad=1"), tmp_path)
    assert facts["counts"]["error"] == 0
    assert {"unreadable", "duplicates across splits", "other files"} & set(kinds(facts)) == set()


def test_arrays_with_bad_images_and_uneven_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (400, 8, 8), dtype=np.uint8)
    labels = np.where(np.arange(400) % 20 == 0, 1, 0)
    images[100], images[101] = 0, 77
    images[9] = images[300]
    labels[9], labels[300] = 0, 1
    np.savez(tmp_path / "a.npz", x=images, y=labels)
    words = ("data=arrays", f"data.path={tmp_path / 'a.npz'}", "data.mean=[0.9]", "data.std=[0.01]")
    found = {one["kind"]: one for one in checked(words, tmp_path)["findings"]}
    assert found["imbalance"]["severity"] == "warning"
    assert found["imbalance"]["remedy"] == "data.balance=weights"
    assert found["plain images"]["count"] == 1
    assert "row 300" in found["conflict"]["where"][0]
    assert found["not normalized"]["remedy"] == "data.mean=null data.std=null"


def test_what_cannot_be_read_at_all_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        checked(("data=image_folder", f"data.path={tmp_path / 'nowhere'}"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_images_are_read_once_and_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = Dense.read

    def counted(self: Dense, pieces: Any) -> Any:
        def noted() -> Any:
            for piece in pieces:
                read.append(len(piece) if isinstance(piece, torch.Tensor) else len(self))
                yield piece

        return original(self, noted() if self.values.dim() == 4 else pieces)

    monkeypatch.setattr(Dense, "read", counted)
    monkeypatch.setattr(image_scan, "_PIECE", 50)
    checked(("data=digits",), tmp_path)
    assert sum(read) == 1797
    assert max(read) == 50


def test_a_sample_of_many_images_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlexp.workflows.data.check._MAX_NEAR", 100)
    facts = checked(("data=digits",), tmp_path)
    (sampled,) = [one for one in facts["findings"] if one["kind"] == "sampled"]
    assert facts["near_copies_among"] == 98
    assert "98 of 1,797 images" in sampled["what"]


def test_labels_that_differ_by_case_and_what_was_read_otherwise_are_reported(tmp_path: Path) -> None:
    rows = [
        f"{n},{('Rome', 'rome', '1', '1.0')[n % 4] if n else 'Oslo'},{('Yes', 'no', 'yes')[n % 3]}" for n in range(90)
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["x,town,y", *(row.replace("1.0", "1") for row in rows)]))
    facts = checked(("data=csv", f"data.path={path}", "data.target=y"), tmp_path / "found")
    (found,) = (one for one in facts["findings"] if one["kind"] == "similar labels")
    assert (found["severity"], found["where"]) == ("warning", ["town: 'Rome' = 'rome'", "y: 'Yes' = 'yes'"])
    assert any("'town'" in note for note in facts["notes"])
