"""Texts of tables and folders: tokens, splits, and every mistake named with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from made_files.text_toys import BAD, GOOD, reviews, write_folder, write_reviews

from dlexp.data.bundle import SPLITS, DataBundle
from dlexp.data.columns import Ragged, tensor_of
from dlexp.data.texts.docstrings import docstrings
from dlexp.data.texts.text_source import target_kind, text
from dlexp.errors import ConfigError, DataError
from dlexp.sequence_specs import TokenSpec
from dlexp.specs import ClassSpec, ValueSpec
from dlexp.text.vocabulary import Vocabulary


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(path: str = "r.csv", **more: Any) -> DataBundle:
    usual: dict[str, Any] = {"text": "review", "target": "stars"}
    return text(path=path, **(usual | more))


def inputs(bundle: DataBundle) -> TokenSpec:
    assert isinstance(bundle.spec.inputs, TokenSpec)
    return bundle.spec.inputs


def vocabulary(bundle: DataBundle) -> Vocabulary:
    found = inputs(bundle).vocabulary
    assert found is not None
    return found


def decoded_text_file(bundle: DataBundle, split: str) -> list[str]:
    column = bundle.splits[split].inputs
    assert isinstance(column, Ragged)
    ids = [part.tolist() for part in column.values.tensor_split(column.offsets[1:-1])]
    return [vocabulary(bundle).decode(one) for one in ids]


def table(rows: list[tuple[str, str, float]] | None = None) -> list[tuple[str, str, float]]:
    rows = rows or reviews()
    write_reviews(Path("r.csv"), rows)
    return rows


def test_every_text_is_in_one_split_with_its_own_class() -> None:
    rows, seen = table(), set[int]()
    bundle = load(min_count=1, on_bad="skip")
    targets = bundle.spec.targets
    assert isinstance(targets, ClassSpec) and targets.names == ("negative", "positive")
    assert bundle.texts is not None
    for name in SPLITS:
        split = bundle.splits[name]
        numbers = split.indices.tolist()
        seen |= set(numbers)
        assert bundle.texts(split.indices.numpy()) == [rows[n][0] for n in numbers]
        assert [targets.names[label] for label in tensor_of(split.targets).tolist()] == [rows[n][1] for n in numbers]
    assert seen == set(range(len(rows)))
    assert decoded_text_file(bundle, "train") == [rows[n][0] for n in bundle.splits["train"].indices.tolist()]


def test_the_vocabulary_is_of_the_training_split_alone() -> None:
    rows = reviews()
    table(rows)
    first = load()
    held = first.splits["test"].indices.tolist()
    for number in held:
        rows[number] = (rows[number][0] + " zebra", *rows[number][1:])
    write_reviews(Path("r.csv"), rows)
    second = load()
    assert vocabulary(second) == vocabulary(first)
    assert "zebra" not in vocabulary(second).tokens
    assert any("words that the vocabulary does not have" in note for note in second.notes)
    assert not any("words that the vocabulary does not have" in note for note in first.notes)


def test_rare_words_are_unknown_and_long_texts_are_cut_off_and_told() -> None:
    rows = table()
    bundle = load(max_length=5)
    assert inputs(bundle).max_length == 5
    longest = max(len(row[0].split()) for row in rows)
    lost = sum(max(0, len(row[0].split()) - 5) for row in rows)
    note = next(note for note in bundle.notes if "cut" in note)
    assert f"{lost:,} of" in note and f"data.max_length={longest}" in note
    column = bundle.splits["train"].inputs
    assert isinstance(column, Ragged) and int(column.offsets.diff().max()) == 5
    small = load(vocabulary_size=8, on_bad="skip")
    assert len(vocabulary(small)) == 8


@pytest.mark.parametrize("kind", ["tsv", "semicolon", "jsonl", "parquet", "xlsx"])
def test_files_of_every_form_give_the_same_tokens(kind: str) -> None:
    table()
    frame = pd.read_csv("r.csv")
    if kind == "tsv":
        frame.to_csv("o.tsv", sep="\t", index=False)
    elif kind == "semicolon":
        frame.to_csv("o.csv", sep=";", index=False)
    elif kind == "jsonl":
        frame.to_json("o.jsonl", orient="records", lines=True)
    elif kind == "parquet":
        frame.to_parquet("o.parquet")
    else:
        pytest.importorskip("openpyxl")
        frame.to_excel("o.xlsx", index=False)
    name = next(path.name for path in Path().iterdir() if path.name.startswith("o."))
    one, other = load(), load(name, text="auto")
    assert one.fingerprint == other.fingerprint and one.spec == other.spec
    assert decoded_text_file(one, "test") == decoded_text_file(other, "test")


def test_a_folder_has_the_tokens_of_a_table_with_the_same_texts() -> None:
    rows = table()
    write_folder(Path("texts"), rows)
    Path("texts/positive/notes.pdf").write_bytes(b"x")
    found = text(path="texts")
    assert found.left_out == ("positive/notes.pdf",) and any("notes.pdf" in note for note in found.notes)
    assert found.texts is not None
    everything = found.texts(np.arange(len(rows)))
    assert sorted(everything) == sorted(row[0] for row in rows)
    targets = found.spec.targets
    assert isinstance(targets, ClassSpec) and targets.names == ("negative", "positive")
    for name in SPLITS:
        split = found.splits[name]
        for line, label in zip(found.texts(split.indices.numpy()), tensor_of(split.targets).tolist(), strict=True):
            assert any(word in line for word in (BAD, GOOD)[label])


def test_folders_of_splits_and_files_of_splits_are_kept() -> None:
    rows = reviews(90)
    write_folder(Path("t/train"), rows[:60])
    write_folder(Path("t/test"), rows[60:])
    found = text(path="t")
    assert len(found.splits["test"]) == 30 and len(found.splits["train"]) + len(found.splits["val"]) == 60
    write_reviews(Path("a.csv"), rows[:60])
    write_reviews(Path("b.csv"), rows[60:])
    tables = load("a.csv", test_path="b.csv")
    assert tables.splits["test"].indices.tolist() == list(range(60, 90))


def test_groups_keep_equal_texts_in_one_split() -> None:
    rows = reviews()
    table(rows + rows[:40])
    plain = load()
    note = next(note for note in plain.notes if "in the training split too" in note)
    assert "data.group=review" in note
    grouped = load(group="review")
    assert not any("in the training split too" in note for note in grouped.notes)


def test_numbers_are_values() -> None:
    table()
    arguments = {"path": "r.csv", "target": "score", "target_kind": "auto", "separator": "auto", "missing_values": []}
    assert target_kind(arguments) == "value" and target_kind(arguments | {"target": "stars"}) == "class"
    targets = load(target="score").spec.targets
    assert isinstance(targets, ValueSpec) and targets.names == ("score",)


def test_texts_of_several_columns_are_joined() -> None:
    rows = table()
    frame = pd.read_csv("r.csv")
    frame["title"] = "headline"
    frame.to_csv("r.csv", index=False)
    bundle = load(text=["title", "review"])
    assert bundle.texts is not None and bundle.texts(np.array([3])) == [f"headline\n{rows[3][0]}"]
    assert decoded_text_file(bundle, "train")[0].startswith("headline ")


@pytest.mark.parametrize("cell", ["", "   "])
def test_an_empty_text_is_refused_with_its_line_or_left_out_and_told(cell: str) -> None:
    rows = reviews()
    rows[4] = (cell, *rows[4][1:])
    rows[9] = (cell, *rows[9][1:])
    table(rows)
    with pytest.raises(DataError) as error:
        load()
    assert (error.value.row, error.value.column) == (6, "review") and str(error.value.file).endswith("r.csv")
    assert "line 11" in str(error.value) and error.value.remedy.endswith("data.on_bad=skip")
    bundle = load(on_bad="skip")
    assert bundle.left_out == bundle.damaged == ("line 6 (empty)", "line 11 (empty)")
    assert any("2 empty texts left out: line 6, line 11" in note for note in bundle.notes)
    assert sum(bundle.sizes().values()) == len(rows) - 2


def test_a_text_of_unknown_characters_only_is_refused_or_left_out() -> None:
    rows = reviews()
    table(rows)
    number = load(unit="character").splits["test"].indices.tolist()[0]
    rows[number] = ("\u03c0\u03c1", *rows[number][1:])
    table(rows)
    with pytest.raises(DataError) as error:
        load(unit="character")
    assert error.value.row == number + 2 and "data.on_bad=skip" in error.value.remedy
    bundle = load(unit="character", on_bad="skip")
    assert bundle.left_out == (f"line {number + 2} (no known character)",)
    assert number not in bundle.splits["test"].indices.tolist()


def test_an_empty_file_of_a_folder_is_refused_with_its_name() -> None:
    write_folder(Path("t"), reviews())
    Path("t/negative/1.txt").write_text(" \n")
    with pytest.raises(DataError) as error:
        text(path="t")
    assert str(error.value.file).endswith("negative/1.txt")
    assert text(path="t", on_bad="skip").left_out == ("negative/1.txt (empty)",)


@pytest.mark.parametrize(
    ("changes", "code", "column", "remedy"),
    [
        ({"text": "reviw"}, "not-found", "reviw", "data.text=review"),
        ({"target": "star"}, "not-found", None, "data.target=stars"),
        ({"text": "stars"}, "cannot-combine", "stars", "data.text"),
        ({"min_count": 10_000}, "too-few-samples", None, "data.min_count=1"),
        ({"group": "nobody"}, "not-found", None, ""),
    ],
)
def test_mistakes_name_the_column_and_what_to_set(
    changes: dict[str, Any], code: str, column: str | None, remedy: str
) -> None:
    table()
    with pytest.raises(DataError) as error:
        load(**changes)
    assert (error.value.code, error.value.column) == (code, column)
    assert remedy in error.value.remedy and str(error.value.file).endswith("r.csv")


def test_one_class_no_target_and_several_text_columns_are_refused() -> None:
    table([(row[0], "same", row[2]) for row in reviews()])
    with pytest.raises(DataError) as error:
        load()
    assert error.value.column == "stars"
    with pytest.raises(ConfigError) as missing:
        load(target=None)
    assert missing.value.code == "missing-value" and "review" in str(missing.value)
    table()
    frame = pd.read_csv("r.csv")
    frame["other"] = frame["review"].str.upper()
    frame.to_csv("r.csv", index=False)
    with pytest.raises(DataError) as several:
        load(text="auto")
    assert several.value.code == "missing-value" and "data.text=review" in several.value.remedy
    write_folder(Path("t"), reviews())
    with pytest.raises(ConfigError) as folder:
        text(path="t", target="stars")
    assert folder.value.code == "cannot-combine"


@pytest.mark.parametrize("unit", ["word", "character", "byte", "subword"])
def test_a_spec_is_kept_as_plain_values(unit: str) -> None:
    if unit == "subword":
        pytest.importorskip("tokenizers")
    table()
    spec = load(unit=unit).spec
    assert type(spec).from_plain(json.loads(json.dumps(spec.to_plain()))) == spec


def test_docstrings_are_unequal_and_say_which_python_they_are_of() -> None:
    bundle = docstrings()
    assert bundle.texts is not None
    rows = [split.indices.numpy() for split in bundle.splits.values()]
    texts = bundle.texts(np.concatenate(rows))
    assert len(set(texts)) == len(texts) > 3000
    targets = bundle.spec.targets
    assert isinstance(targets, ClassSpec) and {"asyncio", "email", "logging", "unittest"} <= set(targets.names)
    labels = torch.cat([tensor_of(split.targets) for split in bundle.splits.values()])
    left_out = len(bundle.left_out)
    assert int(labels.bincount().min()) + left_out >= 100
    assert bundle.preprocessing["python"].count(".") == 2


def test_all_columns_that_are_not_there_are_named_at_once() -> None:
    table()
    arguments = {"path": "r.csv", "target": "star", "text": "reviw", "separator": "auto", "target_kind": "auto"}
    readers: list[Callable[[], object]] = [
        lambda: load(text="reviw", target="star"),
        lambda: target_kind(arguments | {"missing_values": []}),
    ]
    for read in readers:
        with pytest.raises(DataError) as caught:
            read()
        assert "data.text=review" in str(caught.value) and "data.target=stars" in str(caught.value)
