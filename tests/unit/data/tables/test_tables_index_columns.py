"""Columns that number or divide the rows are left out and reported; prediction takes files with and without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pyarrow.parquet import ParquetFile
from refusals import refused

from dlexp.data.bundle import DataBundle
from dlexp.data.inference.tables import TableInput
from dlexp.data.interpretation import interpretation
from dlexp.data.sources.table_file import table_file
from dlexp.data.tables.index_columns import index_columns
from dlexp.errors import DataError

RNG = np.random.default_rng(0)
COUNT = 60
FRAME = pd.DataFrame(RNG.normal(size=(COUNT, 2)), columns=["a", "b"]).assign(
    town=RNG.choice(["x", "z"], COUNT), y=np.arange(COUNT) * 3 // COUNT
)


def names_of(bundle: DataBundle) -> list[str]:
    return [column["name"] for column in bundle.preprocessing["columns"]]


def from_csv(frame: pd.DataFrame, index: bool = False, **settings: Any) -> DataBundle:
    frame.to_csv("t.csv", index=index)
    return table_file(path="t.csv", target="y", **settings)


def from_parquet(frame: pd.DataFrame, **settings: Any) -> DataBundle:
    frame.to_parquet("t.parquet")
    return table_file(path="t.parquet", target="y", **settings)


SHUFFLED = FRAME.sample(frac=1, random_state=1)
TEXTS = pd.Series([f"{n:04}" for n in range(1, COUNT + 1)])


@pytest.mark.parametrize(
    ("bundle", "left_out"),
    [
        (lambda: from_csv(FRAME, index=True), {"": "is the first column and has no name"}),
        (lambda: from_csv(SHUFFLED[::2], index=True), {"": "is the first column and has no name"}),
        (lambda: from_csv(SHUFFLED.reset_index(names="Unnamed: 0")[3:]), {"Unnamed: 0": "is an index"}),
        (lambda: from_csv(FRAME.assign(**{"Unnamed: 0.1": 7.5 * FRAME["a"]})), {"Unnamed: 0.1": "is an index"}),
        (lambda: from_csv(FRAME.assign(id=range(COUNT))), {"id": "numbers the rows"}),
        (lambda: from_csv(FRAME.assign(id=range(1, COUNT + 1)).sample(frac=1)), {"id": "numbers the rows"}),
        (lambda: from_csv(FRAME.assign(id=TEXTS)), {"id": "numbers the rows"}),
        (lambda: from_csv(FRAME.assign(id=np.arange(COUNT) * 1.0)), {"id": "numbers the rows"}),
        (lambda: from_parquet(SHUFFLED), {"__index_level_0__": "is an index"}),
        (lambda: from_parquet(SHUFFLED[::2]), {"__index_level_0__": "is an index"}),
        (lambda: from_parquet(FRAME.set_index(FRAME["a"].rename("key") * 3)), {"key": "is an index"}),
        (lambda: from_parquet(FRAME.assign(id=range(COUNT)).sample(frac=1), columns={"__index_level_0__": "number"}),
         {"id": "numbers the rows"}),
        (lambda: from_csv(FRAME.assign(split=["train", "Train", "test"] * (COUNT // 3))),
         {"split": "names the split of each row (dlexp draws its own splits)"}),
    ],
)  # fmt: skip
def test_an_index_is_left_out_and_reported(bundle: Any, left_out: dict[str, str]) -> None:
    found = bundle()
    assert found.omitted == left_out
    assert not set(left_out) & set(names_of(found))
    for (name, why), note in zip(left_out.items(), found.notes, strict=True):
        assert note.startswith(f"column {name!r} {why}") and "'data.columns={" in note
    assert f"left out: {next(iter(left_out)) or repr('')} ({next(iter(left_out.values()))})" in interpretation(found)


@pytest.mark.parametrize(
    "column",
    [
        np.arange(COUNT) + 2,
        np.arange(COUNT) % (COUNT - 1),
        np.arange(COUNT) * 0.5,
        np.append(np.arange(COUNT - 1.0), np.nan),
        np.arange(COUNT)[::-1] - 1,
        RNG.choice(["train", "plane"], COUNT),
    ],
)
def test_what_only_looks_like_one_is_read(column: Any) -> None:
    assert "c" in names_of(from_csv(FRAME.assign(c=column)))


def test_few_rows_may_be_a_ranking() -> None:
    few = {"rank": np.arange(1.0, 31.0), "a": np.zeros(30)}
    assert index_columns(few.items(), ()) == {}
    assert index_columns({"rank": np.arange(1.0, 41.0)}.items(), ()) == {"rank": "numbers the rows"}


def test_a_column_that_is_named_is_read() -> None:
    counted = FRAME.assign(t=range(COUNT))
    assert names_of(from_csv(counted, columns={"t": "number"})) == ["a", "b", "town", "t"]
    assert names_of(from_csv(counted, columns={"t": "category"}, max_categories=99)) == ["a", "b", "town", "t"]
    assert names_of(from_csv(FRAME, index=True, columns={"": "number"})) == ["", "a", "b", "town"]
    assert names_of(from_parquet(SHUFFLED, columns={"__index_level_0__": "number"}))[-1] == "__index_level_0__"
    counted.to_csv("t.csv", index=False)
    assert table_file(path="t.csv", target="t", columns={"y": "drop"}).spec.output_names == ("t",)
    with pytest.raises(DataError) as caught:
        from_csv(counted, columns={"u": "number"})
    refused(caught.value, "not-found", "'u' (data.columns)")
    with pytest.raises(DataError) as caught:
        from_csv(counted[["t", "y"]])
    refused(caught.value, "invalid-data", "t.csv", "'data.columns={t:number")


@pytest.mark.parametrize("make", [from_csv, from_parquet])
def test_prediction_takes_files_with_and_without_it(make: Any) -> None:
    plain = TableInput.of(make(FRAME).preprocessing, {"target": "y"}, lenient=False)
    indexed = TableInput.of(make(FRAME.assign(id=range(COUNT))).preprocessing, {"target": "y"}, lenient=False)
    new = FRAME.drop(columns="y")
    new.to_csv("bare.csv", index=False)
    new.to_csv("index.csv")
    new.set_axis([*range(COUNT)]).to_parquet("index.parquet")
    new.assign(id=range(COUNT)).to_csv("id.csv", index=False)
    new.rename_axis("Unnamed: 0").to_csv("read_again.csv")

    def inputs(reader: TableInput, path: str) -> torch.Tensor:
        return torch.cat([items.inputs for items in reader.read(path)])

    assert "__index_level_0__" in ParquetFile("index.parquet").schema_arrow.names
    wanted = inputs(plain, "bare.csv")
    for path in ("index.csv", "index.parquet", "read_again.csv"):
        assert torch.equal(inputs(plain, path), wanted)
    for path in ("bare.csv", "index.csv", "id.csv"):
        assert torch.equal(inputs(indexed, path), wanted)
    with pytest.raises(DataError) as caught:
        plain.check("id.csv")
    refused(caught.value, "incompatible-data", "unknown: 'id'")


def test_the_line_says_what_was_decided() -> None:
    table = FRAME.assign(id=range(COUNT), one=1)
    line = interpretation(from_csv(table))
    left_out = "left out: id (numbers the rows), one (has a single value)"
    assert line == f"classification of y, 3 classes: 0, 1, 2; 2 numbers, 1 category (town); {left_out}"
    assert interpretation(from_csv(table, columns={"town": "drop"}), dropped=["town"]).endswith(
        "; 2 numbers; left out: town, id (numbers the rows), one (has a single value)"
    )
    values = from_csv(FRAME.assign(y=FRAME["a"] * 2), columns={})
    assert interpretation(values) == "regression of y; 2 numbers, 1 category (town)"
    many = from_csv(FRAME.assign(y=[f"class {n % 12:02}\x1b[31m" + "x" * 40 for n in range(COUNT)]))
    line = interpretation(many, "metric learning")
    assert line.startswith(r"metric learning of y, 12 classes: class 00\x1b[31mxxxxxxxxxxx..., ")
    assert ", ... and 7 more; 2 numbers" in line
    assert line.isprintable()
