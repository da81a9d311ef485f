"""A sample without a target is refused with its line, or left out and told with `data.on_bad=skip`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlexp.data.bundle import DataBundle
from dlexp.data.pairs.pairs_file import pairs
from dlexp.data.sources.sequences.tagged import tagged
from dlexp.data.sources.series.labeled_series import series_classes
from dlexp.data.texts.text_source import text
from dlexp.errors import DataError

OWN = '["B-PER", "O"]'
Load = Callable[[Path, str], DataBundle]


def reviews(folder: Path, on_bad: str) -> DataBundle:
    lines = [f"a text of number {n},{'' if n in (3, 7) else ('good', 'bad')[n % 2]}" for n in range(40)]
    (folder / "a.csv").write_text("\n".join(["review,stars", *lines]) + "\n")
    return text(path=str(folder / "a.csv"), target="stars", on_bad=on_bad, min_count=1)


def values(folder: Path, on_bad: str) -> DataBundle:
    lines = [f"a text of number {n},{'' if n in (3, 7) else n / 7}" for n in range(40)]
    (folder / "b.csv").write_text("\n".join(["review,stars", *lines]) + "\n")
    return text(path=str(folder / "b.csv"), target="stars", on_bad=on_bad, min_count=1)


def translations(folder: Path, on_bad: str) -> DataBundle:
    lines = [f"source {n}\t{'' if n in (3, 7) else f'target {n}'}" for n in range(40)]
    (folder / "a.tsv").write_text("\n".join(["from\tto", *lines]) + "\n")
    return pairs(path=str(folder / "a.tsv"), on_bad=on_bad)


def lines_of_tags(folder: Path, on_bad: str) -> DataBundle:
    sentences = [f"Ada B-PER\nwalks {'' if n in (3, 7) else 'O'}\nhome O\n" for n in range(40)]
    (folder / "a.conll").write_text("\n".join(sentences))
    return tagged(path=str(folder / "a.conll"), on_bad=on_bad)


def json_of_tags(folder: Path, on_bad: str) -> DataBundle:
    tags = {3: "null", 7: "[]"}
    lines = [f'{{"tokens": ["Ada", "w{n}"], "tags": {tags.get(n, OWN)}}}' for n in range(40)]
    (folder / "a.jsonl").write_text("\n".join(lines))
    return tagged(path=str(folder / "a.jsonl"), on_bad=on_bad)


def labeled(folder: Path, on_bad: str) -> DataBundle:
    lines = [f"{n},{n + 1},{n % 3}:{'?' if n in (3, 7) else ('up', 'down')[n % 2]}" for n in range(40)]
    (folder / "a.ts").write_text("\n".join(["@classLabel true up down", "@data", *lines]) + "\n")
    return series_classes(path=str(folder / "a.ts"), on_bad=on_bad)


KINDS = [reviews, values, translations, lines_of_tags, json_of_tags, labeled]


@pytest.mark.parametrize("load", KINDS)
def test_a_missing_target_is_refused_with_its_line_and_the_way_out(load: Load, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, "fail")
    assert caught.value.row is not None
    assert "data.on_bad=skip" in caught.value.remedy


@pytest.mark.parametrize("load", KINDS)
def test_it_is_left_out_on_request_and_told(load: Load, tmp_path: Path) -> None:
    bundle = load(tmp_path, "skip")
    assert sum(bundle.sizes().values()) == 38
    (note,) = (note for note in bundle.notes if "left out" in note)
    assert "2 " in note


def test_files_of_splits_keep_their_rows(tmp_path: Path) -> None:
    for name, missing in (("train", 1), ("val", 0), ("test", 2)):
        lines = [f"a text of number {n},{'' if n < missing else ('good', 'bad')[n % 2]}" for n in range(20)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["review,stars", *lines]) + "\n")
    paths = {"path": "train", "val_path": "val", "test_path": "test"}
    given: dict[str, Any] = {key: str(tmp_path / f"{name}.csv") for key, name in paths.items()}
    bundle = text(**given, target="stars", on_bad="skip", min_count=1)
    assert bundle.sizes() == {"train": 19, "val": 20, "test": 18}
    assert {place.partition(" line")[0] for place in bundle.left_out} == {"train.csv", "test.csv"}


def test_nothing_is_left_of_a_table_without_any_target(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("review,stars\n" + "a text of words,\n" * 20)
    with pytest.raises(DataError, match="every target is missing"):
        text(path=str(tmp_path / "a.csv"), target="stars", on_bad="skip")
