"""Tables split by the columns that data.group, data.time and data.split_column name, and by files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlexp.data.bundle import DataBundle
from dlexp.data.sources.table_file import table_file
from dlexp.errors import DataError


def rows(seed: int = 0, people: int = 40) -> list[list[Any]]:
    rng = np.random.default_rng(seed)
    found = []
    for person in range(people):
        for _ in range(int(rng.integers(1, 6))):
            x, day = rng.normal() + person % 2, f"2021-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}"
            fold = ("Training", "dev", "TEST")[int(rng.choice(3, p=(0.6, 0.2, 0.2)))]
            found.append([f"P{person}", day, f"{x:.3f}", f"{rng.normal():.3f}", ("no", "yes")[person % 2], fold])
    return found


HEADER = ["patient", "when", "a", "b", "sick", "fold"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "a.csv", rows())


def write(path: Path, table: Sequence[Sequence[Any]], header: Sequence[str] = tuple(HEADER)) -> Path:
    path.write_text("\n".join(",".join(map(str, row)) for row in (header, *table)) + "\n")
    return path


def parts(bundle: DataBundle, column: int, table: Sequence[Sequence[Any]]) -> list[set[Any]]:
    """The cells of a column in train, val and test."""
    return [{table[row][column] for row in bundle.splits[name].indices.tolist()} for name in ("train", "val", "test")]


def encoded(bundle: DataBundle) -> set[str]:
    return {column["name"] for column in bundle.preprocessing["columns"]}


def test_no_patient_is_in_two_splits_and_none_is_a_feature(file: Path) -> None:
    bundle = table_file(path=str(file), target="sick", group="patient")
    train, val, test = parts(bundle, 0, rows())
    assert not train & val and not train & test and not val & test and train | val | test
    assert "patient" not in encoded(bundle)
    assert "data.group" in bundle.omitted["patient"]
    assert any("split by group: 40 groups" in note for note in bundle.notes)
    assert bundle.split_hash == table_file(path=str(file), target="sick", group="patient").split_hash
    assert bundle.split_hash != table_file(path=str(file), target="sick", group="patient", split_seed=1).split_hash


def test_a_column_that_is_declared_stays_a_feature(file: Path) -> None:
    bundle = table_file(path=str(file), target="sick", group="patient", columns={"patient": "category"})
    assert "patient" in encoded(bundle) and "patient" not in bundle.omitted
    dropped = table_file(path=str(file), target="sick", group="patient", columns={"patient": "drop"})
    assert "patient" not in encoded(dropped)


def test_train_is_the_earliest_by_date_and_by_number(file: Path) -> None:
    bundle = table_file(path=str(file), target="sick", time="when")
    train, val, test = parts(bundle, 1, rows())
    assert max(train) < min(val) and max(val) < min(test)
    assert any(max(train) in note and min(test) in note for note in bundle.notes)
    assert not {"when"} & encoded(bundle)
    train, val, test = parts(table_file(path=str(file), target="sick", time="a"), 2, rows())
    assert max(map(float, train)) < min(map(float, val)) and max(map(float, val)) < min(map(float, test))


def test_the_column_names_the_split_and_dlexp_proposes_it(file: Path) -> None:
    bundle = table_file(path=str(file), target="sick", split_column="fold")
    assert parts(bundle, 5, rows()) == [{"Training"}, {"dev"}, {"TEST"}]
    plain = table_file(path=str(file), target="sick")
    assert any("data.split_column=fold" in note for note in plain.notes)
    assert plain.divided["patient"].divided > 0
    assert bundle.divided and not table_file(path=str(file), target="sick", group="patient").divided


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        ({"group": "patint"}, "not-found", "data.group=patient"),
        ({"group": "sick"}, "invalid-data", "data.group"),
        ({"time": "patient"}, "invalid-data", "'P0'"),
        ({"split_column": "patient"}, "unknown-value", "'P0', 'P1', 'P2', 'P3', 'P4', ..."),
    ],
)
def test_a_column_that_cannot_divide_is_refused(file: Path, words: dict[str, Any], code: str, named: str) -> None:
    with pytest.raises(DataError) as caught:
        table_file(path=str(file), target="sick", **words)
    assert caught.value.code == code and named in str(caught.value)


def test_all_problems_are_reported_at_once(file: Path) -> None:
    with pytest.raises(DataError, match="patint") as caught:
        table_file(path=str(file), target="sick", group="patint", time="sick", split_column="b")
    assert "3 problems" in str(caught.value)


@pytest.mark.parametrize("key", ["group", "time", "split_column"])
def test_a_missing_cell_is_refused_with_its_line(tmp_path: Path, key: str) -> None:
    table = rows()
    table[3][{"group": 0, "time": 1, "split_column": 5}[key]] = ""
    names: dict[str, Any] = {"group": "patient", "time": "when", "split_column": "fold"}
    with pytest.raises(DataError) as caught:
        table_file(path=str(write(tmp_path / "a.csv", table)), target="sick", **{key: names[key]})
    assert (caught.value.row, caught.value.column) == (5, names[key])


def test_files_are_the_splits_and_statistics_are_those_of_train(tmp_path: Path) -> None:
    made = {name: write(tmp_path / f"{name}.csv", rows(seed)) for seed, name in enumerate(("train", "val", "test"))}
    alone = table_file(
        path=str(made["train"]), target="sick", columns=dict.fromkeys(("patient", "when", "fold"), "drop")
    )
    words: dict[str, Any] = {"path": str(made["train"]), "target": "sick"}
    dropped = dict.fromkeys(("patient", "when", "fold"), "drop")
    bundle = table_file(**words, val_path=str(made["val"]), test_path=str(made["test"]), columns=dropped)
    assert bundle.sizes() == {"train": len(rows(0)), "val": len(rows(1)), "test": len(rows(2))}
    a = next(column for column in bundle.preprocessing["columns"] if column["name"] == "a")
    assert a["mean"] == pytest.approx(np.mean([float(row[2]) for row in rows(0)]))
    assert alone.named is not None and bundle.named is not None
    first = int(bundle.splits["val"].indices[0])
    assert bundle.named(np.array([0, first])) == ["train.csv line 2", "val.csv line 2"]
    only = table_file(**words, test_path=str(made["test"]), columns=dropped, group=None)
    assert only.sizes()["test"] == len(rows(2)) and only.sizes()["train"] + only.sizes()["val"] == len(rows(0))


def test_files_with_other_columns_or_classes_are_refused_all_at_once(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", rows())
    val = write(tmp_path / "val.csv", rows(1), ["patient", "when", "A", "b", "sick", "fold"])
    test = write(tmp_path / "test.csv", [[*row, 1] for row in rows(2)], [*HEADER, "extra"])
    with pytest.raises(DataError) as caught:
        table_file(path=str(train), target="sick", val_path=str(val), test_path=str(test))
    for named in ("val.csv", "test.csv", "extra", "lacks 1 column: a"):
        assert named in str(caught.value)
    table = rows(1)
    table[0][4], table[1][4] = "maybe", "unclear"
    other = write(tmp_path / "other.csv", table)
    with pytest.raises(DataError, match=r"'maybe', 'unclear'"):
        table_file(path=str(train), target="sick", val_path=str(other))
    table = rows(1)
    table[4][2] = "many"
    wrong = write(tmp_path / "wrong.csv", table)
    with pytest.raises(DataError) as caught:
        table_file(path=str(train), target="sick", val_path=str(wrong))
    assert (Path(str(caught.value.file)).name, caught.value.row) == ("wrong.csv", 6)


def test_a_split_that_no_file_has_is_held_out_by_group(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", rows())
    test = write(tmp_path / "test.csv", [[f"Q{row[0]}", *row[1:]] for row in rows(1)])
    bundle = table_file(path=str(train), target="sick", test_path=str(test), group="patient")
    found = parts(bundle, 0, [*rows(), *([f"Q{row[0]}", *row[1:]] for row in rows(1))])
    assert not found[0] & found[1] and all(name.startswith("Q") for name in found[2])
    with pytest.raises(DataError, match="in two splits"):
        table_file(path=str(train), target="sick", test_path=str(write(tmp_path / "b.csv", rows(1))), group="patient")
