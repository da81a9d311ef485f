"""A cell means the same in every kind of file, and the same to training as to prediction."""

from __future__ import annotations

import datetime
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from refusals import refused

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.inference.items import InputItems, concatenate
from dlexp.data.inference.tables import TableInput
from dlexp.data.sources.table_file import table_file
from dlexp.data.tables.files import text_file
from dlexp.data.tables.files.table_form import TableForm
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError

COUNT = 60
RNG = np.random.default_rng(0)
TENSOR = pa.fixed_shape_tensor(pa.int32(), (2,))
CELLS: dict[str, Any] = {
    "member": pa.array([bool(n % 2) for n in range(COUNT)]),
    "maybe": pa.array([None if n % 7 == 0 else bool(n % 3) for n in range(COUNT)]),
    "zip": pa.array([None if n % 9 == 0 else 94103 + n % 4 for n in range(COUNT)], pa.int64()),
    "code": pa.array([float(n % 3) for n in range(COUNT)], pa.float64()),
    "share": pa.array([0.1 * (n % 3) for n in range(COUNT)], pa.float32()),
    "price": pa.array([Decimal(n % 4) / 4 for n in range(COUNT)], pa.decimal128(9, 2)),
    "exact": pa.array([Decimal("1234567.89") * (n + 1) for n in range(COUNT)], pa.decimal128(12, 2)),
    "day": pa.array([datetime.date(2024, 5, 1 + n % 3) for n in range(COUNT)]),
    "moment": pa.array([datetime.datetime(2024, 5, 1, 12 * (n % 2), n % 3) for n in range(COUNT)], pa.timestamp("us")),
    "fine": pa.array([1_700_000_000_000_000_000 + n % 3 for n in range(COUNT)], pa.timestamp("ns")),
    "abroad": pa.array(
        [datetime.datetime(2024, 5, 1, n % 4, tzinfo=datetime.UTC) for n in range(COUNT)],
        pa.timestamp("ms", "Asia/Kolkata"),
    ),
    "clock": pa.array([datetime.time(8 + n % 3, 30) for n in range(COUNT)], pa.time64("us")),
    "spell": pa.array([datetime.timedelta(hours=n, microseconds=n) for n in range(COUNT)], pa.duration("us")),
    "town": pa.array([("Bonn", "K\u00f6ln", None)[n % 3] for n in range(COUNT)]).dictionary_encode(),
    "size": pa.array([2**60 + 1024 * n for n in range(COUNT)], pa.uint64()),
    "x": pa.array(RNG.normal(size=COUNT)),
    "y": pa.array(RNG.normal(size=COUNT)),
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "target": "y",
    "columns": dict.fromkeys(("zip", "code", "share"), "category"),
    "target_kind": "value",
}


def written(suffix: str, name: str = "table") -> str:
    """The table as pandas, or Arrow, writes it."""
    table, path = pa.table(CELLS), f"{name}.{suffix}"
    frame = table.to_pandas(types_mapper=None)
    if suffix == "parquet":
        pq.write_table(table, path)
    elif suffix == "jsonl":
        rows = [
            {k: _json(v) for k, v in row.items()} | {"share": float(str(np.float32(row["share"])))}
            for row in table.to_pylist()
        ]
        Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    return path


def _json(cell: Any) -> Any:
    if isinstance(cell, datetime.timedelta):
        return str(pd.Timedelta(cell))
    return cell if cell is None or isinstance(cell, bool | int | float | str) else str(cell)


def trained(suffix: str, **settings: Any) -> DataBundle:
    settings = {**SETTINGS, **settings}
    if suffix == "parquet":
        return table_file(path=written("parquet"), **settings)
    return table_file(path=written(suffix), separator="\t" if suffix == "tsv" else ",", **settings)


def answered(bundle: DataBundle, path: str, **arguments: Any) -> InputItems:
    return concatenate(
        list(TableInput.of(bundle.preprocessing, {"target": "y", **arguments}, lenient=False).read(path))
    )


def test_the_files_differ_in_spelling() -> None:
    frame = pd.read_csv(written("csv"), dtype=str)
    assert frame["member"][0] == "False" and frame["zip"][1] == "94104.0" and frame["abroad"][0].endswith("+05:30")


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_text_files_give_the_bits_of_parquet(suffix: str) -> None:
    settings: dict[str, Any] = {"columns": {"share": "drop", "zip": "category", "code": "category"}}
    one, other = trained("parquet", **settings), trained(suffix, **settings)
    assert one.preprocessing["columns"] == other.preprocessing["columns"]
    zone = "column 'abroad': the times are converted to UTC from +05:30"  # Arrow has converted those of Parquet
    assert one.fingerprint == other.fingerprint and (*one.notes, zone) == other.notes[suffix == "tsv" :]
    kinds = {column["name"]: column["kind"] for column in one.preprocessing["columns"]}
    assert {name for name, kind in kinds.items() if kind == "number"} == {"price", "exact", "spell", "size", "x"}
    labels = {column["name"]: column.get("categories") for column in one.preprocessing["columns"]}
    assert labels["member"] == ("false", "true") and labels["code"] == ("0", "1", "2") and labels["zip"][0] == "94103"
    assert {name for name, kind in kinds.items() if kind == "date"} == {"day", "moment", "abroad", "clock"}
    assert one.omitted == {"fine": "has a single value"}  # nanoseconds are less than what a date tells


@pytest.mark.parametrize("source", ["parquet", "csv"])
@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv", "jsonl"])
def test_prediction_reads_what_training_read(source: str, suffix: str) -> None:
    bundle = trained(source)
    found = answered(bundle, written(suffix, "later"))
    assert not any(found.problems)
    for split in bundle.splits.values():
        # A float32 in a text is its shortest decimal, which is another float64.
        assert torch.allclose(found.inputs[split.indices], tensor_of(split.inputs), rtol=0, atol=1e-7)


def test_labels_are_made_of_the_integers_themselves() -> None:
    large = [5, 2**53, 2**53 + 1]
    columns = {"x": pa.array(RNG.normal(size=COUNT)), "y": pa.array([large[n % 3] for n in range(COUNT)], pa.int64())}
    pq.write_table(pa.table(columns), "large.parquet")
    bundle = table_file(path="large.parquet", target="y", target_kind="class")
    assert bundle.spec.output_names == ("5", "9007199254740992", "9007199254740993")
    ids = pa.array([2**64 - 1 - n % 3 for n in range(COUNT)], pa.uint64())
    pq.write_table(pa.table({**columns, "id": ids}), "large.parquet")
    notes = table_file(path="large.parquet", target="y", target_kind="class").notes
    assert any("'id'" in note and "float64" in note and "data.columns={id:category}" in note for note in notes)
    bundle = table_file(path="large.parquet", target="y", target_kind="class", columns={"id": "category"})
    assert len(bundle.preprocessing["columns"][1]["categories"]) == 3
    assert torch.equal(
        answered(bundle, "large.parquet").inputs[bundle.splits["val"].indices],
        tensor_of(bundle.splits["val"].inputs),
    )


def test_a_dropped_column_may_be_in_the_file_of_the_run_itself() -> None:
    for suffix in ("parquet", "csv"):
        bundle = trained(suffix, columns={"x": "drop", "town": "drop"})
        found = answered(bundle, written(suffix))
        assert not any(found.problems) and found.inputs.shape[1] == bundle.spec.inputs.shape[0]


def test_a_column_without_one_known_category_ends_in_an_error() -> None:
    bundle = trained("parquet")
    frame = pd.read_csv(written("csv"))
    frame["member"] = frame["member"].map({True: "yes", False: "no"})
    frame.to_csv("later.csv", index=False)
    with pytest.raises(DataError) as caught:
        answered(bundle, "later.csv")
    for text in ("later.csv, column 'member'", "'no', 'yes'", "'false', 'true'"):
        refused(caught.value, "incompatible-data", text)
    frame.loc[3, "member"] = "TRUE"
    frame.to_csv("later.csv", index=False)
    assert not any(answered(bundle, "later.csv").problems), "a single known one is enough"
    frame[:1].to_csv("later.csv", index=False)
    assert not any(answered(bundle, "later.csv").problems), "one row tells nothing of a spelling"


def test_rows_that_wait_for_a_known_category_come_in_their_order() -> None:
    rows = [f"{n},{'red' if n % 3 else 'blue'},{n % 5}" for n in range(60)]
    Path("t.csv").write_text("\n".join(["size,kind,y", *rows]))
    bundle = table_file(path="t.csv", target="y", target_kind="value")
    Path("new.csv").write_text("size,kind\n" + "".join(f"{n % 60},green\n" for n in range(9000)) + "1,red\n")
    reader = TableInput.of(bundle.preprocessing, {"target": "y"}, lenient=False)
    parts = list(reader.read("new.csv"))
    assert concatenate(parts).names["row"] == list(range(9001)) and len(parts) == 3
    assert "9,000 times" in reader.notes()[0] and "('green')" in reader.notes()[0]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([uuid.UUID(int=n).bytes for n in range(COUNT)], pa.binary(16)),
        pa.array([uuid.UUID(int=n).bytes for n in range(COUNT)], pa.uuid()),
        pa.array([[1, 2]] * COUNT),
        pa.array([{"a": 1}] * COUNT),
        pa.ExtensionArray.from_storage(TENSOR, pa.array([[1, 2]] * COUNT, TENSOR.storage_type)),
    ],
    ids=lambda column: str(column.type)[:20],
)  # fmt: skip
@pytest.mark.parametrize("place", ["feature", "target"])
def test_a_type_that_is_no_number_and_no_text_is_refused_by_file_and_column(column: Any, place: str) -> None:
    columns = {"x": pa.array(RNG.normal(size=COUNT)), "a b": column, "y": pa.array([n % 2 for n in range(COUNT)])}
    pq.write_table(pa.table(columns), "t.parquet")
    with pytest.raises(DataError) as caught:
        table_file(
            path="t.parquet",
            target="y" if place == "feature" else "a b",
            columns={"a b": "category"} if place == "feature" else {},
        )
    remedy = 'data.columns={"a b":drop}' if place == "feature" else "set another data.target"
    refused(caught.value, "invalid-type", "column 'a b'", remedy)
    assert place == "feature" or "data.columns" not in str(caught.value)
    bundle = table_file(path="t.parquet", target="y", columns={"a b": "drop"})
    assert not any(answered(bundle, "t.parquet").problems)


def test_types_that_stand_for_others_are_read_as_those() -> None:
    plain = {"flag": pa.array([bool(n % 2) for n in range(COUNT)]), "n": pa.array([n % 7 for n in range(COUNT)])}
    stored = pa.array([n % 2 for n in range(COUNT)], pa.int8())
    other = {"flag": pa.ExtensionArray.from_storage(pa.bool8(), stored), "n": plain["n"].dictionary_encode()}
    more = {"town": pa.array(["a", "b", None] * (COUNT // 3)), "y": pa.array(RNG.normal(size=COUNT))}
    views = {**more, "town": more["town"].cast(pa.string_view())}
    pq.write_table(pa.table({**plain, **more}), "plain.parquet")
    bundle = table_file(path="plain.parquet", target="y")
    for name, table in (("other", {**other, **more}), ("views", {**plain, **views})):
        pq.write_table(pa.table(table), f"{name}.parquet")
        assert table_file(path=f"{name}.parquet", target="y").fingerprint == bundle.fingerprint


TEXTS = ["1", "2.5", " 3 ", "", "NA", "1_0", "inf", "01", "1e400", "x", '"q, r"', "9" * 30, "True", "-999", "1,5"]


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_file_is_read_as_a_narrow_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    lines = ["a,b,c,y"]
    for n in range(40):
        odd = rng.integers(0, len(TEXTS), 3)
        cells = [TEXTS[k] if seed and rng.random() < 0.2 and j < 2 else str(n * (j + 1)) for j, k in enumerate(odd)]
        cells = [f'"{cell}"' if "," in cell and '"' not in cell else cell for cell in cells]
        lines.append(",".join([*cells, str(n % 2)][: 4 if n % 13 else 2 + n % 3]))
    Path("t.csv").write_text("\n".join(lines) + "\n\n")
    settings: dict[str, Any] = {"target": "c", "target_kind": "value", "columns": {"a": "category", "b": "category"}}
    settings |= {"missing_values": ["NA", "-999.0", "0"], "max_categories": 100}
    found: list[tuple[Any, ...]] = []
    for limit in (2000, 1):
        monkeypatch.setattr(text_file, "_WIDE", limit)
        try:
            bundle = table_file(path="t.csv", **settings)
            assert bundle.named is not None
            named = bundle.named(np.arange(sum(bundle.sizes().values())))
            found.append((bundle.preprocessing, bundle.fingerprint, bundle.notes, named))
        except DataError as error:
            found.append((str(error),))
    assert found[0] == found[1]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("most", "last", "value"), [("7", "x", None), ("7", "01", 1.0), ("-7", str(2**64 - 1), float(2**64 - 1))]
)
def test_a_cell_far_below_decides_as_one_at_the_top(most: str, last: str, value: float | None) -> None:
    rows = 150_000  # several of the parts in which pandas reads a column
    Path("t.csv").write_text("a,b\n" + f"{most},1\n" * (rows - 1) + f"{last},2\n")
    file = text_file.TextFile(Path("t.csv"), TableForm(), Marks())
    columns, lines, _ = file.read(["a", "b"])
    cells = columns["a"].cells()
    assert cells[0] == (most if value is None else float(most)) and cells[-1] == (last if value is None else value)
    assert columns["a"].cell(rows - 1) == last and lines[-1] == rows + 1


def test_lines_of_quoted_cells_are_those_of_an_editor() -> None:
    text = 'a,y\n1,0\n"2\n\n",1\n\n3,0\n"4",\n5,1\n'
    Path("t.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        table_file(path="t.csv", target="y", target_kind="value")
    assert caught.value.row == text.split("\n").index('"4",') + 1
    for end in ("\r\n", "\r"):
        Path("t.csv").write_bytes(text.replace("\n", end).encode())
        with pytest.raises(DataError) as caught:
            table_file(path="t.csv", target="y", target_kind="value")
        assert caught.value.row == 8


def test_json_lines_that_cannot_be_used_are_named() -> None:
    Path("t.csv").write_text("size,kind,y\n" + "\n".join(f"{n},{'red' if n % 3 else 'blue'},{n}" for n in range(30)))
    bundle = table_file(path="t.csv", target="y", target_kind="value")
    lines = ['{"kind": "red", "size": 4}', "", '{"size": 1e2, "kind": null}', '{"size": [1], "kind": "red"}', "[1]",
             '{"size": 1', '{"size": 1, "kind": {"more": 1}}', '{"size": NaN, "kind": "blue"}', '{"kind": "red"}',
             '{"size": Infinity, "kind": "red"}', "{}"]  # fmt: skip
    Path("new.jsonl").write_text("\n".join(lines))
    problems = answered(bundle, "new.jsonl").problems
    assert [problem.split(", ")[0] for problem in problems if problem] == [
        "line 4",
        "line 5",
        "line 6",
        "line 7",
        "line 10",
        "line 11",
    ]
    assert "'size'" in problems[2] and "'kind.more'" in problems[5] and "'Infinity'" in problems[8]
    cases = (("", "too-few-samples"), ("[1]\n", "invalid-data"), ("{}\n", "incompatible-data"))
    for content, code in cases:
        Path("new.jsonl").write_text(content)
        with pytest.raises(DataError) as caught:
            answered(bundle, "new.jsonl")
        refused(caught.value, code, "new.jsonl")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_row_whose_only_column_is_missing_is_a_row(suffix: str) -> None:
    Path("t.csv").write_text("size,kind,y\n" + "\n".join(f"{n},{'red' if n % 3 else 'blue'},{n}" for n in range(30)))
    bundle = table_file(path="t.csv", target="y", target_kind="value", columns={"size": "drop"})
    rows = {"csv": "size,kind\n3,\n4,red\n", "jsonl": '{"size": 3, "kind": null}\n{"size": 4, "kind": "red"}\n'}
    Path(f"new.{suffix}").write_text(rows[suffix])
    found = answered(bundle, f"new.{suffix}")
    assert found.problems == ["", ""] and found.inputs.tolist() == [[0.0, 0.0], [0.0, 1.0]]
