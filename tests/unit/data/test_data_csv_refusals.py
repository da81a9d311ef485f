"""Every refusal of a CSV file names the file, and the line and the column where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlexp.data.sources.csv_file import csv, target_kind
from dlexp.errors import DataError, exit_code_of

GOOD = ["a,colour,y", *(f"{n},{'red' if n % 3 else 'blue'},{'yes' if n % 2 else 'no'}" for n in range(30))]


def refusal(text: str | bytes, target: str = "y", **options: Any) -> DataError:
    path = Path("shop.csv")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError) as caught:
        csv(path=str(path), target=target, **options)
    assert exit_code_of(caught.value) == 3
    assert str(caught.value).startswith("shop.csv")
    return caught.value


def changed(line: int, text: str) -> str:
    """The good file with another text on a line, counted as an editor does."""
    return "\n".join([*GOOD[: line - 1], text, *GOOD[line:]])


def test_good_file_is_read() -> None:
    Path("shop.csv").write_text("\n".join(GOOD))
    assert csv(path="shop.csv", target="y").spec.num_outputs == 2


def test_missing_file_gets_the_nearest_name() -> None:
    Path("shop.csv").write_text("x")
    for read in (lambda: csv(path="shp.csv", target="y"), lambda: target_kind(arguments("shp.csv"))):
        with pytest.raises(DataError, match=r"shp\.csv: there is no such file; did you mean shop\.csv\?"):
            read()


def arguments(path: str) -> dict[str, Any]:
    return {"path": path, "target": "y", "separator": ",", "missing_values": [], "target_kind": "auto"}


def test_missing_folder_and_folder_are_refused() -> None:
    for path, match in (("nowhere/shop.csv", "there is no such file"), (".", "is a folder, not a file")):
        with pytest.raises(DataError, match=match):
            csv(path=path, target="y")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "shop.csv: is empty"),
        ("a,colour,y\n", "shop.csv: has a header and no rows"),
        ("a,colour,y\n,,\n\n", "shop.csv: has a header and no rows"),
        (b"a,b,y\n1,M\xfcller,x\n", "shop.csv: is not UTF-8 text"),
        (changed(9, "7,red,yes,more"), "Expected 3 fields in line 9, saw 4"),
        (changed(9, '7,"red,yes'), "shop.csv: is no table"),
        ("a,a,y\n1,2,x\n", "shop.csv, line 1: the header names 'a' more than once"),
        ("\n".join(GOOD).replace(",", ";"), "shop.csv, line 1: has a single column, 'a;colour;y'; is the separator"),
        (changed(9, "7,red,"), "shop.csv, line 9, column 'y': the target is missing; fill in the cell"),
        (changed(9, "7,red"), "shop.csv, line 9, column 'y': the target is missing"),
        (changed(9, "7,red,maybe"), "shop.csv, column 'y': class 'maybe' has 1 of 30 rows"),
        (changed(9, "seven,red,yes"), "shop.csv, line 9, column 'a': 'seven' stands among numbers; correct it"),
        (changed(9, "nan,red,yes"), "shop.csv, line 9, column 'a': 'nan' stands among numbers"),
        (changed(9, "inf,red,yes"), "shop.csv, line 9, column 'a': 'inf' stands among numbers"),
        ("y,a\n" + "\n".join(f"{n % 2},1" for n in range(9)), "shop.csv: no column is left to learn from"),
        ("a,y\n" + "\n".join(f"{n},same" for n in range(9)), "column 'y': holds one class only, 'same'"),
        ("a,y\n" + "\n".join(f"{n},name{n}" for n in range(9)), "column 'y': holds 9 different classes in 9 rows"),
    ],
)
def test_file_that_cannot_be_used_is_told_with_its_place(text: str | bytes, told: str) -> None:
    assert told in str(refusal(text))


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
    assert f"the target {cell!r} is no finite number; correct the cell" in str(error)


def test_constant_value_is_told() -> None:
    text = "a,y\n" + "\n".join(f"{n},2.50" for n in range(9))
    assert "column 'y': every row has the target 2.50" in str(refusal(text, target_kind="value"))


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_values_are_told(count: int) -> None:
    text = "a,b,y\n" + "\n".join(f"{n},{n * 2},{n}.5" for n in range(count))
    assert refusal(text, target_kind="value").file == Path("shop.csv")


def test_too_many_categories_are_told() -> None:
    text = "id,a,y\n" + "\n".join(f"u{n},{n},{n % 2}" for n in range(30))
    error = refusal(text, max_categories=10)
    assert "column 'id': holds 30 different texts, more than data.max_categories=10" in str(error)
    assert error.remedy == "leave it out with 'data.drop=[id]'"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"target": "Y"}, "has no column 'Y' (data.target)"),
        ({"target": "color"}, "did you mean data.target=colour?"),
        ({"target": "zzz"}, "it has a, colour, y"),
        ({"drop": ["colours"]}, "has no column 'colours' (data.drop); did you mean 'data.drop=[colour]'?"),
        ({"categorical": ["b2"]}, "has no column 'b2' (data.categorical)"),
    ],
)
def test_column_that_is_not_there_gets_the_nearest_name(options: dict[str, Any], told: str) -> None:
    assert told in str(refusal("\n".join(GOOD), **options))


def test_several_wrong_cells_are_counted() -> None:
    rows = [f"{'x' if n in (40, 41) else n},{n * 2},{n % 2}" for n in range(60)]
    assert "line 42, column 'a': 'x' and 1 more like it stands among numbers" in str(
        refusal("a,b,y\n" + "\n".join(rows))
    )


def test_missing_values_and_categorical_are_the_ways_out() -> None:
    Path("shop.csv").write_text(changed(9, "seven,red,yes"))
    assert csv(path="shop.csv", target="y", missing_values=["seven"]).spec.num_outputs == 2
    assert csv(path="shop.csv", target="y", categorical=["a"]).preprocessing["columns"][0]["kind"] == "category"


@pytest.mark.parametrize("separator", ["", ";;", "\n"])
def test_separator_that_is_none_is_told(separator: str) -> None:
    refusal("\n".join(GOOD), separator=separator)
