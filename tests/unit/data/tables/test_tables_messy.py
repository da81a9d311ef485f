"""Thirty spellings of a table are the same table to training and prediction, with no key but the target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from made_files import messy_tables

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.inference.items import concatenate
from dlexp.data.inference.tables import TableInput
from dlexp.data.sources.table_file import table_file, target_kind
from dlexp.data.tables.spelling import MISSING

USUAL: dict[str, Any] = {"target": "bought", "missing_values": list(MISSING)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(name: str) -> DataBundle:
    return table_file(path=str(messy_tables.write(name)), **USUAL)


def test_there_are_thirty() -> None:
    assert len(messy_tables.TABLES) >= 30


@pytest.mark.parametrize("name", messy_tables.TABLES)
def test_a_messy_table_is_the_plain_one(name: str) -> None:
    plain, bundle = read("plain.csv"), read(name)
    assert target_kind({"path": name, "target_kind": "auto", **USUAL}) == "class"
    assert [fit["name"] for fit in bundle.preprocessing["columns"]] == ["age", "price", "share", "city"]
    for split, found in bundle.splits.items():
        assert torch.equal(found.indices, plain.splits[split].indices)
        assert torch.equal(tensor_of(found.targets), tensor_of(plain.splits[split].targets))
        there, here = tensor_of(plain.splits[split].inputs), tensor_of(found.inputs)
        if name != "quoted newlines.csv":  # another city
            assert torch.equal(here, there), name
    reader = TableInput.of(bundle.preprocessing, USUAL, lenient=False)
    reader.check(name)
    rows = concatenate(list(reader.read(name)))
    assert not any(rows.problems)
    for some in bundle.splits.values():
        assert torch.equal(rows.tensor[some.indices], tensor_of(some.inputs))


@pytest.mark.parametrize("name", messy_tables.TABLES)
def test_a_run_on_the_plain_table_predicts_a_messy_one(name: str) -> None:
    bundle = read("semicolons.csv")
    messy_tables.write(name)
    reader = TableInput.of(bundle.preprocessing, USUAL, lenient=False)
    if name in ("windows.csv", "swiss.csv", "french.csv", "dollars.csv"):  # 3 is no price in dollars, nor 12% 12
        assert all("column" in problem for problem in concatenate(list(reader.read(name))).problems)
        return
    rows = concatenate(list(reader.read(name)))
    assert not any(rows.problems)
    for split in bundle.splits.values():
        found, there = rows.tensor[split.indices], tensor_of(split.inputs)
        assert torch.equal(found[:, :3], there[:, :3])


@pytest.mark.parametrize("kind", ["frame", "parquet", "jsonl", "tabs"])
def test_texts_of_another_form_are_read_with_the_marks_of_training(kind: str) -> None:
    rows = "".join(f"{n % 9 + 1}.{n * 7 % 1000:03d};{n},5;{'ab'[n % 2]}\n" for n in range(60))
    Path("german.csv").write_text("amount;price;bought\n" + rows)  # 2.500 has two readings, which price decides
    bundle = table_file(path="german.csv", **USUAL)
    reader = TableInput.of(bundle.preprocessing, USUAL, lenient=False)
    expected = concatenate(list(reader.read("german.csv"))).tensor
    frame = pd.read_csv("german.csv", sep=";", dtype=str)
    if kind in ("frame", "parquet"):
        frame["price"] = frame["price"].str.replace(",5", "").astype(float) + 0.5  # now no column decides
    if kind == "parquet":
        frame.to_parquet("other")
    elif kind == "jsonl":
        frame.to_json("other", orient="records", lines=True)
    elif kind == "tabs":
        frame.to_csv("other", sep="\t", index=False)
    found = reader.read_frame(frame) if kind == "frame" else reader.read("other")
    assert torch.equal(concatenate(list(found)).tensor, expected)
