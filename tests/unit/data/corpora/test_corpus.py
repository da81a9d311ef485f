"""Corpora: parts in order, a vocabulary of the training part, and texts that cannot be used."""

from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import read_all
from dlexp.data.sources.sequences.corpus import corpus, topics
from dlexp.errors import DataError
from dlexp.sequence_specs import NextTokenSpec, TokenSpec
from dlexp.types import Sequences

LINES = [f"line {n:03d} of the text" for n in range(100)]
TEXT = "\n".join(LINES)


def written(folder: Path, text: str | bytes = TEXT, name: str = "book.txt") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def text_of(bundle: DataBundle, split: str) -> str:
    """The text of a split, from the inputs of windows that do not overlap and the last target."""
    assert isinstance(bundle.spec.inputs, TokenSpec)
    assert bundle.spec.inputs.vocabulary is not None
    inputs, targets = (
        read_all(column) for column in (bundle.splits[split].inputs, bundle.splits[split].targets) if column
    )
    assert isinstance(inputs, Sequences)
    assert isinstance(targets, Sequences)
    ids = [*inputs.values[inputs.mask].tolist(), int(targets.values[-1, targets.lengths[-1] - 1])]
    return bundle.spec.inputs.vocabulary.decode(ids)


def loaded(path: Path, **more: Any) -> DataBundle:
    return corpus(path=str(path), window=16, eval_context=0, **more)


def test_the_parts_of_a_text_follow_one_another_and_end_with_a_line(tmp_path: Path) -> None:
    bundle = loaded(written(tmp_path))
    parts = [text_of(bundle, name) for name in ("train", "val", "test")]
    assert "".join(parts) == TEXT
    assert all(part.endswith("\n") for part in parts[:2])
    assert [round(len(part) / len(TEXT), 1) for part in parts] == [0.8, 0.1, 0.1]


def test_the_vocabulary_is_of_the_training_part_alone(tmp_path: Path) -> None:
    bundle = loaded(written(tmp_path, TEXT[:-1] + "ß"))
    assert isinstance(bundle.spec.inputs, TokenSpec)
    assert bundle.spec.inputs.vocabulary is not None
    assert "ß" not in bundle.spec.inputs.vocabulary.tokens
    assert any("not in the vocabulary" in note and "test" in note for note in bundle.notes)


def test_what_comes_after_the_training_part_changes_nothing_of_it(tmp_path: Path) -> None:
    one = loaded(written(tmp_path, TEXT))
    cut = len(text_of(one, "train"))
    other = loaded(written(tmp_path, TEXT[:cut] + "\n".join(["zzz"] * 500)[: len(TEXT) - cut]))
    assert other.spec == one.spec
    for kind in ("inputs", "targets"):
        found = [read_all(getattr(bundle.splits["train"], kind)) for bundle in (one, other)]
        assert isinstance(found[0], Sequences)
        assert isinstance(found[1], Sequences)
        assert torch.equal(found[0].values, found[1].values)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_and_ends_of_lines_are_detected(tmp_path: Path, encoding: str) -> None:
    text = TEXT.replace("line", "Größe")
    plain, other = (
        loaded(written(tmp_path, text)),
        loaded(written(tmp_path, text.replace("\n", "\r\n").encode(encoding))),
    )
    assert other.fingerprint == plain.fingerprint


def test_a_folder_is_read_in_alphabetical_order_and_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    written(tmp_path, TEXT, "b/one.txt")
    written(tmp_path, "first", "a.md")
    written(tmp_path, b"\x89PNG", "picture.png")
    bundle = loaded(tmp_path)
    assert text_of(bundle, "train").startswith("first\n\nline 000")
    assert bundle.left_out == ("picture.png",)
    assert any("picture.png" in note for note in bundle.notes)


def test_repeated_paragraphs_are_told_and_dropped_on_request(tmp_path: Path) -> None:
    paragraph = "A paragraph of more than forty characters, twice."
    file = written(tmp_path, f"{paragraph}\n\n{TEXT}\n\n{paragraph}\n")
    assert any("data.repeated=drop" in note for note in loaded(file).notes)
    dropped = loaded(file, repeated="drop")
    assert any("dropped" in note for note in dropped.notes)
    assert sum(text_of(dropped, name).count(paragraph) for name in ("train", "val", "test")) == 1


@pytest.mark.parametrize(
    ("text", "code", "rule"),
    [
        (" \n", "invalid-data", "has no text"),
        ("abc", "too-few-samples", "too short"),
        (b"\0\1\2\3" * 50, "invalid-data", "is not text"),
        ("a" * 100 + "b" * 12, "invalid-data", "no character that the training part has"),
    ],
)
def test_texts_that_cannot_be_used_are_refused(tmp_path: Path, text: str | bytes, code: str, rule: str) -> None:
    with pytest.raises(DataError) as caught:
        loaded(written(tmp_path, text), val_fraction=0.05)
    refused(caught.value, code, rule)
    assert caught.value.remedy and (isinstance(text, str) or "encoding" not in caught.value.remedy)
    assert str(caught.value.file).endswith("book.txt")


def test_a_folder_without_texts_and_a_context_as_long_as_a_window_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no text files"):
        loaded(tmp_path)
    with pytest.raises(DataError, match=r"data\.eval_context=16 must be below data\.window=16"):
        corpus(path=str(written(tmp_path)), window=16, eval_context=16)


@pytest.mark.parametrize("unit", ["character", "byte", "word", "subword"])
def test_simple_models_are_computed_for_what_was_not_trained_on(tmp_path: Path, unit: str) -> None:
    bundle = loaded(written(tmp_path), unit=unit, vocabulary_size=300)
    assert bundle.baselines is not None
    assert bundle.baselines("train") == {}
    found = bundle.baselines("test")
    assert found["xz"]["bits_per_byte"] > 0
    assert 0 < found["5-gram (Witten-Bell)"]["bits_per_token"] < 8
    assert ("bits_per_byte" in found["5-gram (Witten-Bell)"]) == (unit != "word")


def test_the_reference_of_python_has_no_paragraph_twice() -> None:
    bundle = topics(window=64)
    assert isinstance(bundle.spec.targets, NextTokenSpec)
    assert sum(len(split) for split in bundle.splits.values()) > 4000
    assert any("dropped" in note for note in bundle.notes)
    assert bundle.preprocessing["python"] in bundle.notes[0]
