"""Labels and numbers of a table: one label for one value, no column of numbers read as texts in silence, and marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from refusals import refused

from dlexp.data.bundle import DataBundle
from dlexp.data.checks import columns as checked_columns
from dlexp.data.columns import tensor_of
from dlexp.data.sources.table_file import table_file, target_kind
from dlexp.data.tables.spelling import MISSING
from dlexp.errors import DataError

COUNT = 60
X = np.random.default_rng(0).normal(size=COUNT)


def read(settings: dict[str, Any] | None = None, **columns: list[str]) -> DataBundle:
    """A CSV file of a number x and the columns given; y is 0 or 1 unless given."""
    columns = {"y": [str(n % 2) for n in range(COUNT)], **columns}
    lines = ["x," + ",".join(columns)]
    for x, *cells in zip(X, *columns.values(), strict=True):
        lines.append(",".join([repr(float(x)), *(f'"{cell}"' if "," in cell else cell for cell in cells)]))
    Path("t.csv").write_text("\n".join(lines))
    return table_file(path="t.csv", target="y", **{"missing_values": list(MISSING), **(settings or {})})


def in_turn(*cells: str) -> list[str]:
    return [cells[n % len(cells)] for n in range(COUNT)]


def categories(bundle: DataBundle, name: str) -> list[str]:
    return list(next(c["categories"] for c in bundle.preprocessing["columns"] if c["name"] == name))


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["1", "0", "1.0", "0"], ["0", "1"]),
        (["1", "-0", "1e0", "0", "+1", "0.0"], ["0", "1"]),
        (["1.50", "2", "1.5"], ["1.5", "2"]),
        (["True", "false", "TRUE", "False"], ["false", "true"]),
        (["2024-05-01", "2024-05-02", "2024-05-01 00:00:00"], ["2024-05-01", "2024-05-02"]),
    ],
)
def test_one_value_in_two_spellings_is_one_label(cells: list[str], labels: list[str]) -> None:
    settings: dict[str, Any] = {"target_kind": "class", "columns": {"c": "category"}}
    bundle = read(settings, y=in_turn(*cells), c=in_turn(*cells))
    assert list(bundle.spec.output_names) == labels and categories(bundle, "c") == labels
    assert len(bundle.notes) == 2 and {note.split("'")[1] for note in bundle.notes} == {"y", "c"}
    whole = torch.cat([tensor_of(split.targets) for split in bundle.splits.values()])
    rows = torch.cat([split.indices for split in bundle.splits.values()])
    values = [labels[int(t)] for t in whole[rows.argsort()]]
    meant = {"True": "true", "TRUE": "true", "False": "false", "2024-05-01 00:00:00": "2024-05-01"}
    for cell, value in zip(in_turn(*cells), values, strict=True):
        assert meant.get(cell, cell) == value or float(cell) == float(value)


def test_labels_in_one_spelling_are_called_as_in_the_file() -> None:
    for cells in (["01", "02", "10"], ["1.1-a", "1e5", "True"], ["A", "1.0", "2"]):
        bundle = read({"target_kind": "class", "columns": {"c": "category"}}, y=in_turn(*cells), c=in_turn(*cells))
        assert set(bundle.spec.output_names) == set(categories(bundle, "c")) == set(cells)


@pytest.mark.parametrize(
    ("cells", "two"),
    [
        (["1", "01", "2"], {"01", "1"}),
        (["0", "00", "2"], {"00", "0"}),
        (["1", "A", "1.0"], {"1.0", "1"}),
        (["1.1", "1.10", "2-beta"], {"1.1", "1.10"}),
    ],
)
def test_two_spellings_that_may_be_two_labels_are_refused(cells: list[str], two: set[str]) -> None:
    for settings, name in ({"target_kind": "class"}, "y"), ({"columns": {"c": "category"}}, "c"):
        with pytest.raises(DataError) as caught:
            read(settings, **{name: in_turn(*cells)})
        refused(caught.value, "invalid-data", "t.csv")
        assert (caught.value.column, caught.value.row in (3, 4)) == (name, True)
        assert two <= set(str(caught.value).split("'"))


@pytest.mark.parametrize("word", ["NULL", "None", "#N/A", "<NA>", "n/a", "NaT", "NA", " null "])
def test_words_for_missing_leave_a_column_one_of_numbers(word: str) -> None:
    cells = [word if n % 3 else str(n) for n in range(COUNT)]
    bundle = read(a=cells)
    assert [c["kind"] for c in bundle.preprocessing["columns"]] == ["number", "number"] and bundle.notes == ()
    assert bundle.missing["a"][0] == 40


@pytest.mark.parametrize(
    ("cells", "where", "remedy"),
    [
        (["12%", "13.5%", "14"], "'12%' and 39 more", "percent sign"),
        (["$3", "\u20ac4"], "'$3' and 59 more", "currency sign"),
        (["(3)", "4"], "'(3)' and 29 more", "parentheses"),
        ([*map(str, range(25)), *["unknown"] * 35], "'unknown' and 34 more", "data.missing_values"),
    ],
)
def test_numbers_are_not_read_as_texts_in_silence(cells: list[str], where: str, remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        read(a=in_turn(*cells))
    refused(caught.value, "invalid-data", where, remedy)
    assert "'data.columns={a:category}'" in caught.value.remedy
    assert read({"columns": {"a": "category"}}, a=in_turn(*cells)).notes == ()
    arguments = {"path": "t.csv", "target": "a", "separator": ",", "missing_values": [], "target_kind": "auto"}
    with pytest.raises(DataError) as caught:
        target_kind(arguments)
    refused(caught.value, "invalid-data", "column 'a'", "data.target_kind=class")


def test_texts_that_are_partly_numbers_are_noted() -> None:
    (note,) = read(a=in_turn("36", "38", "S", "M")).notes
    assert "'a'" in note and "30 of 60 cells" in note and "'S', 'M'" in note
    assert read(a=in_turn("A1", "B2", "12:30")).notes == ()


def test_a_class_that_is_among_the_marks_is_named_with_the_way_to_keep_it() -> None:
    with pytest.raises(DataError) as caught:
        read(y=in_turn("EU", "NA"))
    refused(caught.value, "invalid-data", "'NA'", '\'data.missing_values=[N/A,n/a,"<NA>"')
    assert (caught.value.row, caught.value.column) == (3, "y")
    kept = [word for word in MISSING if word != "NA"]
    assert read({"missing_values": kept}, y=in_turn("EU", "NA")).spec.output_names == ("EU", "NA")


@pytest.mark.parametrize("mark", ["-999", "-999.0", "-9.99e2"])
@pytest.mark.parametrize("spelled", ["-999", "-999.0", "-999.00"])
def test_a_number_that_means_missing_is_found_by_value(mark: str, spelled: str) -> None:
    cells = [spelled if n % 4 == 0 else repr(float(x)) for n, x in enumerate(X)]
    bundle = read({"missing_values": [mark]}, a=cells)
    assert bundle.missing == {"a": (15, tuple(range(0, 40, 4)))} and bundle.notes == ()
    values = [-999.0 if n % 4 == 0 else float(x) for n, x in enumerate(X)]
    for kind in (pa.float64(), pa.float32(), pa.decimal128(12, 3), pa.int64()):
        column = pa.array(np.round(values, 3)).cast(kind, safe=False)
        y = pa.array([n % 2 for n in range(COUNT)])
        pq.write_table(pa.table({"x": pa.array(X), "a": column, "y": y}), "t.parquet")
        assert table_file(path="t.parquet", target="y", missing_values=[mark]).missing["a"][0] == 15, kind


def test_a_mark_that_matched_nothing_is_noted() -> None:
    found = read({"missing_values": ["NA", "-999", "gone"]}, a=in_turn("1", "-999.0", "3")).notes
    (note,) = found
    assert note.startswith("data.missing_values: ") and "'gone'" in note


def test_labels_that_differ_by_case_and_blanks_are_listed() -> None:
    names = {"y": ("Yes", "no", "yes"), "c": ("New York", "Rome", "new  york", "N\u00e9w"), "d": ("a", "b")}
    (found,) = checked_columns.similar_labels(names)
    assert found.severity == "warning" and found.kind == "similar labels"
    assert found.where == ("y: 'Yes' = 'yes'", "c: 'New York' = 'new  york'")
    assert checked_columns.similar_labels({"d": ("a", "b")}) == []
