"""Every refusal of a CSV file names the file, and the line and the column where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from dlexp.data.sources.table_file import table_file, target_kind
from dlexp.errors import DataError, exit_code_of

GOOD = ["a,color,y", *(f"{n},{'red' if n % 3 else 'blue'},{'yes' if n % 2 else 'no'}" for n in range(30))]


def refusal(text: str | bytes, target: str = "y", **options: Any) -> DataError:
    path = Path("shop.csv")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError) as caught:
        table_file(path=str(path), target=target, **options)
    assert exit_code_of(caught.value) == 3
    assert str(caught.value).startswith("shop.csv")
    return caught.value


def changed(line: int, text: str) -> str:
    """The good file with another text on a line, counted as an editor does."""
    return "\n".join([*GOOD[: line - 1], text, *GOOD[line:]])


def test_good_file_is_read() -> None:
    Path("shop.csv").write_text("\n".join(GOOD))
    assert table_file(path="shop.csv", target="y").spec.num_outputs == 2


def test_missing_file_gets_the_nearest_name() -> None:
    Path("shop.csv").write_text("x")
    for read in (lambda: table_file(path="shp.csv", target="y"), lambda: target_kind(arguments("shp.csv"))):
        with pytest.raises(DataError) as caught:
            read()
        refused(caught.value, "not-found", "shp.csv", "shop.csv")


def arguments(path: str) -> dict[str, Any]:
    return {"path": path, "target": "y", "missing_values": [], "target_kind": "auto"}


def test_missing_folder_and_folder_are_refused() -> None:
    for path, code in (("nowhere/shop.csv", "not-found"), (".", "invalid-type")):
        with pytest.raises(DataError) as caught:
            table_file(path=path, target="y")
        refused(caught.value, code, path)


@pytest.mark.parametrize(
    ("text", "code", "place", "value"),
    [
        ("", "too-few-samples", (None, None), ""),
        ("a,color,y\n", "too-few-samples", (None, None), ""),
        ("a,color,y\n,,\n\n", "too-few-samples", (None, None), ""),
        ("a,b,y\n1,\u00fc,x\n".encode() + b"2,M\xfcller,x\n", "invalid-data", (None, None), "data.encoding=cp1252"),
        (changed(9, "7,red,yes,more"), "invalid-data", (9, None), "has 4 cells, but the header has 3"),
        (changed(9, '7,"red,yes'), "invalid-data", (None, None), "data.separator"),
        ("a,a,y\n1,2,x\n", "invalid-data", (1, None), "'a'"),
        ("\n".join(GOOD).replace(",", "^"), "invalid-data", (1, None), "'a^color^y'"),
        (changed(9, "7,red,"), "invalid-data", (9, "y"), "delete the line"),
        (changed(9, "7,red"), "invalid-data", (9, "y"), "delete the line"),
        (changed(9, "7,red,maybe"), None, (None, "y"), "'maybe'"),
        (changed(9, "seven,red,yes"), "invalid-data", (9, "a"), "'seven'"),
        (changed(9, "nan,red,yes"), "invalid-data", (9, "a"), "'nan'"),
        (changed(9, "inf,red,yes"), "invalid-data", (9, "a"), "'inf'"),
        ("y,a\n" + "\n".join(f"{n % 2},1" for n in range(9)), "invalid-data", (None, None), "no column"),
        ("a,y\n" + "\n".join(f"{n},same" for n in range(9)), "invalid-data", (None, "y"), "'same'"),
        ("a,y\n" + "\n".join(f"{n},name{n}" for n in range(9)), "invalid-data", (None, "y"), "9 rows"),
    ],
)
def test_file_that_cannot_be_used_is_refused_with_its_place(
    text: str | bytes, code: str | None, place: tuple[int | None, str | None], value: str
) -> None:
    error = refusal(text)
    refused(error, code or error.code, value)
    assert (error.row, error.column) == place


def test_line_is_that_of_the_editor_after_blank_lines() -> None:
    assert refusal("\n".join([*GOOD[:5], "", "", *GOOD[5:8], "7,red,", *GOOD[9:]])).row == 11


def test_line_is_that_of_the_editor_after_a_cell_of_several_lines() -> None:
    assert refusal("\n".join([*GOOD[:5], '4,"red\n\nor so",no', "5,red,", *GOOD[7:]])).row == 9


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "much", "1_000"])
def test_target_that_is_no_finite_number_is_told(cell: str) -> None:
    error = refusal(changed(9, f"7,red,{cell}"), target_kind="value", target="y")
    assert error.column == "y"
    values = "a,y\n" + "\n".join(f"{n},{cell if n == 7 else n * 1.5}" for n in range(30))
    error = refusal(values, target_kind="value")
    assert (error.row, error.column) == (9, "y")
    refused(error, "invalid-data", repr(cell), "data.target_kind=class")


def test_constant_value_is_told() -> None:
    text = "a,y\n" + "\n".join(f"{n},2.50" for n in range(9))
    refused(refusal(text, target_kind="value"), "invalid-data", "2.50")
    assert refusal(text, target_kind="value").column == "y"


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_values_are_told(count: int) -> None:
    text = "a,b,y\n" + "\n".join(f"{n},{n * 2},{n}.5" for n in range(count))
    assert refusal(text, target_kind="value").file == Path("shop.csv")


def test_too_many_categories_are_told() -> None:
    text = "id,a,y\n" + "\n".join(f"u{n},{n},{n % 2}" for n in range(30))
    error = refusal(text, max_categories=10, rare="refuse")
    for text in ("column 'id'", "30 different texts", "data.max_categories=10"):
        refused(error, "too-large", text, "'data.columns={id:drop}'")


@pytest.mark.parametrize(
    ("options", "where", "remedy"),
    [
        ({"target": "Y"}, "'Y' (data.target)", ""),
        ({"target": "colr"}, "'colr' (data.target)", "data.target=color?"),
        ({"target": "zzz"}, "'zzz' (data.target)", "a, color, y"),
        ({"columns": {"colors": "drop"}}, "'colors' (data.columns)", "'data.columns={color:drop}'?"),
        ({"columns": {"b2": "category"}}, "'b2' (data.columns)", ""),
    ],
)
def test_column_that_is_not_there_gets_the_nearest_name(options: dict[str, Any], where: str, remedy: str) -> None:
    refused(refusal("\n".join(GOOD), **options), "not-found", where, remedy)


def test_several_wrong_cells_are_counted() -> None:
    rows = [f"{'x' if n in (40, 41) else n},{n * 2},{n % 2}" for n in range(60)]
    error = refusal("a,b,y\n" + "\n".join(rows))
    refused(error, "invalid-data", "'x' and 1 more")
    assert (error.row, error.column) == (42, "a")


def test_missing_values_and_categorical_are_the_ways_out() -> None:
    Path("shop.csv").write_text(changed(9, "seven,red,yes"))
    assert table_file(path="shop.csv", target="y", missing_values=["seven"]).spec.num_outputs == 2
    assert (
        table_file(path="shop.csv", target="y", columns={"a": "category"}).preprocessing["columns"][0]["kind"]
        == "category"
    )


@pytest.mark.parametrize("separator", ["", ";;", "\n"])
def test_separator_that_is_none_is_told(separator: str) -> None:
    refusal("\n".join(GOOD), separator=separator)
