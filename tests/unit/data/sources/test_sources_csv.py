"""A CSV file of the user's own: what is read out of it. What is refused: test_data_csv_refusals.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.sources.table_file import table_file, target_kind


def lines(count: int = 30) -> list[str]:
    """Header, and rows of two numbers, a category and two kinds of target."""
    rows = [f"{n},{n * 0.5},{'red' if n % 3 else 'blue'},{n * 1.5},{'yes' if n % 2 else 'no'}" for n in range(count)]
    return ["a,b,color,price,answer", *rows]


def read(text: str | bytes, target: str = "answer", **options: Any) -> DataBundle:
    path = Path("t.csv")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    arguments = {"columns": {"price" if target == "answer" else "answer": "drop"}} | options
    return table_file(path=str(path), target=target, **arguments)


def features(bundle: DataBundle) -> dict[int, list[float]]:
    """Row number -> features."""
    return {
        int(row): sample.tolist()
        for split in bundle.splits.values()
        for row, sample in zip(split.indices, tensor_of(split.inputs), strict=True)
    }


def column_names(bundle: DataBundle) -> list[tuple[str, str]]:
    return [(column["kind"], column["name"]) for column in bundle.preprocessing["columns"]]


def test_numbers_and_categories_become_features() -> None:
    bundle = read("\n".join(lines()), standardize=False)
    assert column_names(bundle) == [("number", "a"), ("number", "b"), ("category", "color")]
    assert features(bundle)[7] == [7.0, 3.5, 0.0, 1.0]
    assert features(bundle)[9] == [9.0, 4.5, 1.0, 0.0]
    assert (bundle.spec.output_names, bundle.spec.inputs.shape) == (("no", "yes"), (4,))


def test_classes_are_numbered_and_present_in_every_split() -> None:
    bundle = read("\n".join(lines()))
    for split in bundle.splits.values():
        assert tensor_of(split.targets).unique().tolist() == [0, 1]
        assert tensor_of(split.targets).tolist() == (split.indices % 2).tolist()


def test_values_are_the_target_in_their_own_units() -> None:
    bundle = read("\n".join(lines()), target="price")
    assert (bundle.spec.target_kind, bundle.spec.output_names) == ("value", ("price",))
    for split in bundle.splits.values():
        assert tensor_of(split.targets)[:, 0].tolist() == (split.indices * 1.5).tolist()


def test_missing_number_is_the_median_of_the_training_rows() -> None:
    text = [line.replace("7,3.5", "7,NA").replace("9,4.5", "9,") for line in lines()]
    bundle = read("\n".join(text), missing_values=["NA"], standardize=False)
    train = [int(row) for row in bundle.splits["train"].indices if int(row) not in (7, 9)]
    median = float(torch.tensor([row * 0.5 for row in train]).quantile(0.5))
    assert features(bundle)[7][1] == features(bundle)[9][1] == pytest.approx(median)


def test_missing_category_is_none_of_them() -> None:
    text = [line.replace("7,3.5,red", "7,3.5, ") for line in lines()]
    assert features(read("\n".join(text), standardize=False))[7] == [7.0, 3.5, 0.0, 0.0]


def test_category_that_train_never_saw_is_none_of_them() -> None:
    val = int(read("\n".join(lines())).splits["val"].indices[0])
    text = [
        line.replace("red", "green").replace("blue", "green") if line.startswith(f"{val},") else line
        for line in lines()
    ]
    bundle = read("\n".join(text))
    assert features(bundle)[val][2:] == [0.0, 0.0]
    assert bundle.preprocessing["columns"][2]["categories"] == ("blue", "red")


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + "\n".join(lines()).encode(),
        "\r\n".join(lines()),
        "\n".join(lines()) + "\n\n\n",
        "\n".join(lines()).replace(",", " , "),
        "\n".join(lines()).replace("red", '"red"'),
    ],
)
def test_spelling_of_the_file_makes_no_difference(text: str | bytes) -> None:
    plain, other = read("\n".join(lines())), read(text)
    assert (other.fingerprint, other.split_hash) == (plain.fingerprint, plain.split_hash)


def test_quoted_separators_and_line_breaks_belong_to_the_cell() -> None:
    text = "\n".join(lines()).replace("red", '"red, or ""so""\nthey say"')
    assert read(text).preprocessing["columns"][2]["categories"] == ("blue", 'red, or "so"\nthey say')


def test_another_separator_and_text_beyond_ascii() -> None:
    text = "\n".join(lines()).replace(",", ";").replace("red", "größer, 大")
    bundle = read(text, separator=";")
    assert bundle.preprocessing["columns"][2]["categories"] == ("blue", "größer, 大")


def test_numbers_can_be_read_as_categories() -> None:
    text = ["n,x,answer", *(f"{n % 3},{n},{'yes' if n % 2 else 'no'}" for n in range(30))]
    bundle = read("\n".join(text), columns={"n": "category"})
    assert bundle.preprocessing["columns"][0]["categories"] == ("0", "1", "2")


def test_dropped_columns_are_not_even_looked_at() -> None:
    text = ["id,x,y", *(f"{'?' if n == 5 else n},{n},{n % 2}" for n in range(30))]
    assert column_names(read("\n".join(text), target="y", columns={"id": "drop"})) == [("number", "x")]


def test_constant_column_is_left_out_and_noted() -> None:
    text = [f"{line},{'same' if n else 'k'}" for n, line in enumerate(lines())]
    bundle = read("\n".join(text))
    assert ("category", "k") not in column_names(bundle)
    (note,) = bundle.notes
    assert "column 'k'" in note


def test_classes_that_are_numbers_are_sorted_as_numbers() -> None:
    text = ["x,y", *(f"{n},{(n % 3) * 5}" for n in range(30))]
    assert read("\n".join(text), target="y", columns={}).spec.output_names == ("0", "5", "10")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", "1", "2"], "class"),
        (["1.0", "2.0"], "class"),
        (["1.5", "2"], "value"),
        ([str(n) for n in range(20)], "class"),
        ([str(n) for n in range(21)], "value"),
        (["1", "2", "x"], "class"),
        (["1", "", "2.5"], "value"),
        (["1e3", "2.5e-1"], "value"),
        (["nan", "2.5"], "class"),
    ],
)
def test_kind_of_a_column_is_seen(cells: list[str], kind: str) -> None:
    Path("t.csv").write_text("x,y\n" + "\n".join(f"{n},{cell}" for n, cell in enumerate(cells)))
    arguments = {"path": "t.csv", "target": "y", "separator": ",", "missing_values": [], "target_kind": "auto"}
    assert target_kind(arguments) == kind


@pytest.mark.parametrize("kind", ["class", "value"])
def test_kind_that_is_given_needs_no_file(kind: str) -> None:
    assert target_kind({"target_kind": kind, "target": "y", "path": "none.csv"}) == kind


def test_given_kind_decides() -> None:
    text = "\n".join(["x,y", *(f"{n},{n % 3}" for n in range(30))])
    assert read(text, target="y", columns={}, target_kind="value").spec.target_kind == "value"
    assert read(text, target="y", columns={}).spec.target_kind == "class"
