"""Parquet files: the same table as from CSV, the types that only Parquet has, and refusals that name column and row."""

from __future__ import annotations

import datetime
import decimal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from refusals import refused

from dlexp.data.columns import tensor_of
from dlexp.data.sources.table_file import table_file, target_kind
from dlexp.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
COUNT = 60
TABLE: dict[str, list[Any]] = {
    "age": RNG.integers(18, 80, COUNT).tolist(),
    "height": [round(float(v), 3) for v in RNG.normal(170, 9, COUNT)],
    "town": [None if n % 11 == 0 else ("Bonn", "Köln", "Trier")[n % 3] for n in range(COUNT)],
    "member": [None if n % 13 == 0 else bool(n % 2) for n in range(COUNT)],
    "score": [None if n % 7 == 0 else n * 0.25 for n in range(COUNT)],
    "income": [float(n * 1000 + 0.5) for n in range(COUNT)],
    "plan": [("free", "paid")[n % 2] for n in range(COUNT)],
}


def written(path: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns or TABLE), path)
    return str(path)


@pytest.mark.parametrize("target", ["income", "plan", "member", "age"])
def test_the_same_table_as_from_csv(target: str, tmp_path: Path) -> None:
    table = {name: cells for name, cells in TABLE.items() if name != "member" or target != "member"}
    if target == "member":
        table["member"] = [bool(n % 2) for n in range(COUNT)]
    path = written(tmp_path / "a.parquet", **table)
    lines = [",".join(table)]
    for row in zip(*table.values(), strict=True):
        texts = ("" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell) for cell in row)
        lines.append(",".join(texts))
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    one, other = table_file(path=path, target=target), table_file(path=str(tmp_path / "a.csv"), target=target)
    assert one.spec == other.spec
    assert one.fingerprint == other.fingerprint
    assert one.split_hash == other.split_hash
    assert one.preprocessing["columns"] == other.preprocessing["columns"]
    assert all(
        torch.equal(tensor_of(one.splits[name].inputs), tensor_of(other.splits[name].inputs)) for name in one.splits
    )


def test_types_that_text_has_not(tmp_path: Path) -> None:
    days = [datetime.date(2020, 1, 1 + n % 3) for n in range(COUNT)]
    columns = {
        "small": pa.array(range(COUNT), pa.int8()),
        "exact": pa.array([decimal.Decimal(n) / 4 for n in range(COUNT)], pa.decimal128(9, 2)),
        "town": pa.array(TABLE["town"]).dictionary_encode(),
        "day": pa.array(days),
        "none": pa.nulls(COUNT),
        "gap": pa.array([np.nan if n % 2 else 1.0 * n for n in range(COUNT)]),
        "y": pa.array([n % 3 for n in range(COUNT)], pa.uint16()),
    }
    bundle = table_file(path=written(tmp_path / "a.parquet", **columns), target="y", columns={"small": "number"})
    assert bundle.spec.output_names == ("0", "1", "2")
    kinds = {column["name"]: column["kind"] for column in bundle.preprocessing["columns"]}
    assert kinds == {"small": "number", "exact": "number", "town": "category", "day": "date", "gap": "number"}
    (note,) = bundle.notes
    assert "column 'none'" in note
    (day,) = [column for column in bundle.preprocessing["columns"] if column["name"] == "day"]
    assert [part["part"] for part in day["parts"]] == ["elapsed", "weekday"]
    as_category = table_file(
        path=str(tmp_path / "a.parquet"), target="y", columns={"small": "category"}, max_categories=COUNT
    )
    small = next(c for c in as_category.preprocessing["columns"] if c["name"] == "small")
    assert set(small["categories"]) == {str(row) for row in as_category.splits["train"].indices.tolist()}


def test_the_kind_of_the_target_is_seen_without_reading_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet")
    asked = {"path": path, "missing_values": [], "target_kind": "auto"}
    seen = {name: target_kind({**asked, "target": name}) for name in ("income", "plan", "age", "member")}
    assert seen == {"income": "value", "plan": "class", "age": "value", "member": "class"}
    assert target_kind({**asked, "target": "age", "target_kind": "class"}) == "class"


def test_dropped_columns_are_not_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", **TABLE, tags=[[1, 2]] * COUNT)
    with pytest.raises(DataError) as caught:
        table_file(path=path, target="plan")
    refused(caught.value, "invalid-type", "column 'tags'", "'data.columns={tags:drop}'")
    bundle = table_file(
        path=path, target="plan", columns={"tags": "drop", "plan": "drop"}
    )  # the target is read all the same
    assert bundle.fingerprint == table_file(path=written(tmp_path / "b.parquet"), target="plan").fingerprint


def test_refusals_name_column_and_row(tmp_path: Path) -> None:
    def refuses(
        code: str, place: tuple[int | None, str | None], value: str, settings: dict[str, Any], **columns: Any
    ) -> None:
        with pytest.raises(DataError) as caught:
            table_file(path=written(tmp_path / "a.parquet", **columns), **settings)
        refused(caught.value, code, value)
        assert (caught.value.row, caught.value.column) == place
        assert place[0] is None or f"row {place[0]}" in str(caught.value)

    written(tmp_path / "people.parquet")
    with pytest.raises(DataError) as caught:
        table_file(path=str(tmp_path / "peple.parquet"), target="y")
    refused(caught.value, "not-found", "peple", "people.parquet")
    (tmp_path / "no.parquet").write_bytes(b"no\0parquet")
    with pytest.raises(DataError) as caught:
        table_file(path=str(tmp_path / "no.parquet"), target="y")
    refused(caught.value, "invalid-data", "no.parquet")
    nowhere = (None, None)
    refuses("not-found", nowhere, "'incom' (data.target)", {"target": "incom"})
    refuses("not-found", nowhere, "data.target=income", {"target": "incom"})
    refuses("not-found", nowhere, "'x' (data.columns)", {"target": "income", "columns": {"x": "drop"}})
    refuses("invalid-data", (1, "town"), "delete the row", {"target": "town"})
    refuses("invalid-data", (1, "score"), "delete the row", {"target": "score"})
    large = [1e301 if n == 4 else float(n) for n in range(COUNT)]
    refuses("invalid-data", (5, "x"), "1e+301", {"target": "y"}, x=large, y=TABLE["plan"])
    infinite = [float("inf") if n == 4 else float(n) for n in range(COUNT)]
    refuses("invalid-data", (5, "x"), "inf", {"target": "y"}, x=infinite, y=TABLE["plan"])
    refuses("invalid-data", (5, "x"), "inf", {"target": "x"}, x=infinite, y=TABLE["plan"])
    mixed = ["oops" if n == 4 else str(n) for n in range(COUNT)]
    refuses("invalid-data", (5, "x"), "'oops'", {"target": "y"}, x=mixed, y=TABLE["plan"])
    refuses("too-few-samples", nowhere, "", {"target": "y"}, x=pa.array([], pa.int64()), y=pa.array([], pa.int64()))


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError) as caught:
        table_file(path=path, target="plan")
    refused(caught.value, "missing-package", "data", "'dlexp[parquet]'")
