"""Cells and rows that spreadsheets, people and other programs write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlexp.data.sources.table_file import table_file, target_kind
from dlexp.data.tables.numerals import reading_of
from dlexp.data.tables.spelling import MISSING, Marks
from dlexp.errors import DataError

_ROWS = 60


def _file(folder: Path, cells: list[str], name: str = "cell") -> Path:
    rows = [f"{n},{cells[n % len(cells)]},{('yes', 'no')[n % 2]}" for n in range(_ROWS)]
    path = folder / "table.csv"
    path.write_text("\n".join([f"size,{name},y", *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["20.4M", "25.6K", "7"], ["20.4e6", "25.6e3", "7"]),
        (["$264.21", "($264.21)"], ["264.21", "-264.21"]),
        (["1,200.5", "(3.25)"], ["1200.5", "-3.25"]),
        (["\u20ac565K", "\u20ac0"], ["565e3", "0"]),
    ],
)
def test_letters_and_parentheses_are_numbers_where_the_column_shows_it(cells: list[str], numbers: list[str]) -> None:
    style = reading_of(dict.fromkeys(cells, 1)).style(".")
    assert style is not None
    assert [style.read(cell) for cell in cells] == numbers


@pytest.mark.parametrize("cells", [["12B", "3B"], ["(1)", "(2)"]])
def test_codes_and_ranks_are_no_numbers(cells: list[str]) -> None:
    assert reading_of(dict.fromkeys(cells, 1)).styles == ()


def test_short_dates_are_dates_in_the_order_of_their_column(tmp_path: Path) -> None:
    bundle = table_file(path=str(_file(tmp_path, ["1.1.20", "25.3.20", "7.12.21", "9.9.22"])), target="y")
    assert bundle.preprocessing["form"]["styles"] == {}
    assert "cell" not in bundle.omitted
    assert any("year" in str(name) for name in str(bundle.preprocessing).split("'"))


def test_clocks_beyond_a_day_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        table_file(path=str(_file(tmp_path, ["75:10", "61:09", "80:55"])), target="y")
    assert "data.columns={cell:drop}" in str(caught.value)


@pytest.mark.parametrize("given", ["", "auto"])
def test_a_row_with_too_many_cells_is_named(tmp_path: Path, given: str) -> None:
    path = _file(tmp_path, [str(n) for n in range(30)], "cell")
    lines = path.read_text().replace("yes", "1.5").replace("no", "2.5").splitlines()
    lines[40] = "1,Smith, John,3.5"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        if given:
            target_kind({"path": str(path), "target": "y", "target_kind": given, "missing_values": []})
        table_file(path=str(path), target="y")
    assert caught.value.row == 41
    assert "4 cells" in caught.value.rule
    assert "3" in caught.value.rule


def test_missing_targets_are_counted(tmp_path: Path) -> None:
    path = _file(tmp_path, ["a", "b"])
    path.write_text("".join(line.replace("yes", "") for line in path.read_text().splitlines(keepends=True)))
    with pytest.raises(DataError) as caught:
        table_file(path=str(path), target="y")
    assert "30 of 60 rows (lines 2, 4, 6, 8, 10, ...)" in caught.value.rule


def test_default_stands_for_all_marks_of_missing_values() -> None:
    assert Marks(["default", "xx"]).words == (*MISSING, "xx")
    assert Marks([*MISSING, "xx"]).short(["yy"]) == ["default", "xx", "yy"]


@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_keys_that_the_first_object_lacks_are_columns(tmp_path: Path, name: str) -> None:
    rows = [json.dumps({"x": n, "y": n % 2} | ({} if n % 3 == 0 else {"z": n * 2})) for n in range(_ROWS)]
    path = tmp_path / name
    path.write_text("\n".join(rows) if name == "t.jsonl" else f"[{','.join(rows)}]")
    bundle = table_file(path=str(path), target="y")
    assert "'z'" in str(bundle.preprocessing)
