"""Pairs of texts in files: columns, splits, vocabularies of training alone, and bad rows by file and row."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlexp.data.columns import read_all
from dlexp.data.pairs.pairs_file import pairs
from dlexp.errors import ConfigError, DataError
from dlexp.types import Sequences

_ROWS = [f"a {number}\tb {number}" for number in range(20)]


def _file(folder: Path, rows: list[str], header: str = "en\tde") -> str:
    path = folder / "pairs.tsv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def test_the_only_two_columns_are_source_and_target(tmp_path: Path) -> None:
    bundle = pairs(path=_file(tmp_path, _ROWS))
    assert bundle.target == "de" and bundle.preprocessing["text"] == ["en"]
    assert sum(bundle.sizes().values()) == 20
    assert bundle.named is not None and bundle.named(bundle.splits["train"].indices.numpy()[:1])[0].startswith("line ")


def test_columns_by_name_and_the_rest_is_not_read(tmp_path: Path) -> None:
    rows = [f"{number}\tb {number}\ta {number}" for number in range(20)]
    path = _file(tmp_path, rows, "id\tde\ten")
    with pytest.raises(DataError, match=r"id, de, en.*data.source=COLUMN and data.target=COLUMN"):
        pairs(path=path)
    bundle = pairs(path=path, source="en", target="de")
    assert bundle.spec.inputs.vocabulary.tokens[3] == "a"  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"'english' .data.source. not found"):
        pairs(path=path, source="english", target="de")
    with pytest.raises(DataError, match=r"'enn' .data.target. not found. Available: id, de"):  # en is the source
        pairs(path=path, source="en", target="enn")
    with pytest.raises(DataError, match=r"both data.source and data.target"):
        pairs(path=path, source="en", target="en")


def test_vocabularies_are_of_the_training_split_alone(tmp_path: Path) -> None:
    bundle = pairs(path=_file(tmp_path, _ROWS))
    tokens = set(bundle.spec.inputs.vocabulary.tokens)  # type: ignore[attr-defined]
    trained = {str(row) for row in bundle.splits["train"].indices.tolist()}
    held = {str(row) for name in ("val", "test") for row in bundle.splits[name].indices.tolist()}
    assert trained <= tokens and not held & tokens
    assert any("of val and test unknown" in note for note in bundle.notes)
    column = read_all(bundle.splits["val"].inputs)
    assert isinstance(column, Sequences) and (column.values[:, 1] == 0).all()


@pytest.mark.parametrize(("row", "column"), [("\tb", "en"), ("a\t", "de"), ("a\t  ", "de")])
def test_an_empty_text_names_file_and_row(tmp_path: Path, row: str, column: str) -> None:
    path = _file(tmp_path, [*_ROWS[:5], row, *_ROWS[5:]])
    with pytest.raises(DataError, match="empty") as caught:
        pairs(path=path)
    assert (str(caught.value.file), caught.value.row, caught.value.column) == (path, 7, column)
    assert "data.on_bad=skip" in caught.value.remedy
    bundle = pairs(path=path, on_bad="skip")
    assert sum(bundle.sizes().values()) == 20
    assert any("left out 1 row with an empty text" in note and "7" in note for note in bundle.notes)


def test_long_pairs_are_left_out_and_told(tmp_path: Path) -> None:
    rows = [*_ROWS, "a b c d e\tx", "a\tv w x y z"]
    bundle = pairs(path=_file(tmp_path, rows), max_length=3, target_max_length=3)
    assert sum(bundle.sizes().values()) == 20
    assert (bundle.spec.inputs.max_length, bundle.spec.targets.max_length) == (3, 4)  # type: ignore[union-attr, attr-defined]
    assert any("left out 2 of 22 pairs" in note for note in bundle.notes)
    with pytest.raises(DataError, match=r"data.max_length"):
        pairs(path=_file(tmp_path, _ROWS), max_length=1)


def test_splits_by_column_and_files(tmp_path: Path) -> None:
    parts = ["train"] * 12 + ["val"] * 4 + ["test"] * 4
    rows = [f"{row}\t{part}" for row, part in zip(_ROWS, parts, strict=True)]
    bundle = pairs(path=_file(tmp_path, rows, "en\tde\tpart"), split_column="part")
    assert bundle.sizes() == {"train": 12, "val": 4, "test": 4}
    other = tmp_path / "val.tsv"
    other.write_text("en\tde\nx\ty\nz\tw\n")
    assert pairs(path=_file(tmp_path, _ROWS), val_path=str(other)).sizes()["val"] == 2


def test_json_lines_and_units(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(f'{{"source": "ab{number}", "target": "c d"}}\n' for number in range(12)))
    bundle = pairs(path=str(path), unit="character", target_unit="word")
    assert (bundle.spec.inputs.vocabulary.unit, bundle.spec.targets.vocabulary.unit) == ("character", "word")  # type: ignore[union-attr, attr-defined]
    with pytest.raises(ConfigError, match="vocabulary"):
        pairs(path=str(path), vocabulary_size=3)
