"""Titles above a header, files without one, names twice, nested objects, further encodings."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlexp.data.bundle import DataBundle
from dlexp.data.inference.items import concatenate
from dlexp.data.inference.tables import TableInput
from dlexp.data.sources.table_file import table_file
from dlexp.data.tables.files.json_lines import KnownKeys, json_lines
from dlexp.data.tables.files.pieces import ROWS_AT_A_TIME
from dlexp.data.tables.files.text_encodings import of_bytes_beyond_ascii
from dlexp.data.tables.files.text_form import title_lines
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError

_ROWS = 60
_BODY = "".join(f"{n * 7 % 13},{n % 7 + 0.5},{'ab'[n % 2]}\n" for n in range(_ROWS))
_HEADER = "size,width,y\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(name: str, content: str | bytes, target: str = "y") -> DataBundle:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return table_file(path=name, target=target)


def columns(bundle: DataBundle) -> list[str]:
    return [fit["name"] for fit in bundle.preprocessing["columns"]]


def problems(bundle: DataBundle, name: str, content: str, lenient: bool = False) -> list[str]:
    Path(name).write_text(content)
    reader = TableInput.of(bundle.preprocessing, {"target": "y"}, lenient=lenient)
    return concatenate(list(reader.read(name))).problems


@pytest.mark.parametrize(
    ("title", "lines"), [("Sales of 2024\n\n", 2), ("Sales of 2024,,\n", 1), ("Report: by Ann; 2024\n", 1)]
)
def test_a_title_above_the_header_is_skipped_and_told(title: str, lines: int) -> None:
    bundle = read("t.csv", title + _HEADER + _BODY)
    assert columns(bundle) == ["size", "width"]
    assert bundle.preprocessing["form"]["skipped"] == lines
    assert "skipped" in bundle.notes[0]
    assert not any(problems(bundle, "plain.csv", _HEADER + _BODY))
    assert not any(problems(bundle, "again.csv", title + _HEADER + _BODY))


@pytest.mark.parametrize("text", ["x\nr1,3\nr2,4\nr3,5\n", "a,b\n1,2\n3,4\n5,6\n", "1\n2\n3\n"])
def test_a_header_is_no_title(text: str) -> None:
    assert title_lines(text.splitlines(keepends=True)) == 0


def test_a_file_without_a_header_is_told_with_a_line_that_adds_one() -> None:
    with pytest.raises(DataError) as caught:
        read("bare.csv", _BODY, "c3")
    assert "line 1 looks like data" in caught.value.rule
    line = (caught.value.remedy or "").partition(": ")[2]
    subprocess.run(["bash", "-c", line], check=True)
    assert columns(table_file(path="with_header_bare.csv", target="c3")) == ["c1", "c2"]


def test_years_may_be_names() -> None:
    with pytest.raises(DataError) as caught:
        read("years.csv", "2019,2020,2021\n" + _BODY, "z")
    assert "looks like data" not in caught.value.rule


def test_names_that_occur_twice_are_refused_with_their_columns() -> None:
    with pytest.raises(DataError) as caught:
        read("twice.csv", "size,size,y\n" + _BODY)
    assert "'size' (columns 1, 2)" in caught.value.rule
    assert "Rename" in (caught.value.remedy or "")


def objects(rows: list[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, rows)) + "\n"


def numbers(**more: Any) -> list[dict[str, Any]]:
    return [{"a": n * 7 % 13 + 0.5, "b": n % 5, "y": "st"[n % 2]} | more for n in range(_ROWS)]


@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_keys_of_nested_objects_are_joined_by_points(name: str) -> None:
    rows = [{"a": {"b": n % 7, "c": {"d": n * 7 % 13}}, "y": "st"[n % 2]} for n in range(_ROWS)]
    bundle = read(name, objects(rows) if name == "t.jsonl" else json.dumps(rows))
    assert columns(bundle) == ["a.b", "a.c.d"]
    assert not any(problems(bundle, "new.jsonl", objects(rows)))


def test_lists_are_refused_with_the_way_out() -> None:
    with pytest.raises(DataError) as caught:
        read("t.jsonl", objects(numbers(tags=[1])))
    assert "data.columns={tags:drop}" in (caught.value.remedy or "")
    assert columns(table_file(path="t.jsonl", target="y", columns={"tags": "drop"})) == ["a", "b"]


def test_a_number_beside_formatted_texts_is_refused() -> None:
    rows = [row | {"a": "2.500" if n % 2 else 1.125} for n, row in enumerate(numbers())]
    with pytest.raises(DataError) as caught:
        read("t.jsonl", objects(rows))
    assert "'2.500'" in caught.value.rule
    assert "1.125" in caught.value.rule


def test_a_key_of_one_object_makes_that_row_unusable() -> None:
    bundle, rows = read("t.jsonl", objects(numbers())), numbers()
    rows[3]["typo"] = 1
    found = problems(bundle, "new.jsonl", objects(rows))
    assert [place for place, problem in enumerate(found) if problem] == [3]
    assert "'typo'" in found[3]
    assert not any(problems(bundle, "new.jsonl", objects(rows), lenient=True))
    with pytest.raises(DataError, match="--ignore-extra"):
        problems(bundle, "new.jsonl", objects(numbers(typo=1)))


def test_scale_letters_that_training_lacks_make_a_row_unusable() -> None:
    bundle = read("t.csv", _HEADER + _BODY)
    found = problems(bundle, "new.csv", _HEADER + "3,1.5,a\n4,(2.5),a\n5,2.5K,a\n")
    assert not found[0]
    assert all("column 'width'" in problem for problem in found[1:])


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        ("\u6771\u4eac,1\n\u5927\u962a\u5e02,2", "cp932", "cp932"),
        ("M\xfcnchen,1\nK\xf6ln,2\nB\xe4cker,3", "mac-roman", "mac-roman"),
        ("M\xfcnchen,1\nK\xe4\xdfler,2\nL\u2019\xe9t\xe9,3", "cp1252", "cp1252"),
        ("Ko\u0161ice,1\n\u017dilina,2\n10\u201320", "cp1252", "cp1252"),
    ],
)
def test_encodings_of_letters_beyond_ascii(text: str, encoding: str, found: str) -> None:
    assert of_bytes_beyond_ascii(text.encode(encoding)) == found


def test_prediction_reads_objects_of_standard_input_as_they_come() -> None:
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for n in range(50_000):
            taken += 1
            yield json.dumps({"a": n, "typo": 1} if n == 5 else {"a": n}) + "\n"

    file: Any = lines()
    table = json_lines("-", file, Marks(), KnownKeys({"a"}))
    assert (table.header, taken) == (["a"], 1)
    piece = next(iter(table.rows([0])))
    assert taken <= ROWS_AT_A_TIME
    assert [place for place, problem in enumerate(piece.problems) if problem] == [5]
