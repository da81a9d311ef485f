"""A file of a run is read with its types: the first place that departs from them is named, with what was expected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from dlexp.artifacts.files.json_shapes import (
    ANY,
    FLAG,
    MAX_DEPTH,
    NUMBER,
    TEXT,
    TIME,
    WHOLE,
    ListOf,
    MapOf,
    OrNull,
    Record,
    Shape,
    is_too_deep,
    mismatch,
)
from dlexp.artifacts.files.writing import read_json
from dlexp.artifacts.runs.run_files import OF_A_RUN, SHAPES, read_run_file, with_keys
from dlexp.errors import DlexpError


@pytest.mark.parametrize(
    ("value", "shape", "wrong"),
    [
        (1, WHOLE, ""),
        (True, WHOLE, "the content must be a whole number of 64 bits, got true"),
        (1.0, WHOLE, "the content must be a whole number of 64 bits, got 1.0"),
        (2**63, WHOLE, "the content must be a whole number of 64 bits, got 9223372036854775808"),
        (0.5, NUMBER, ""),
        (10**400, NUMBER, f"the content must be a number, got {str(10**400)[:37]}..."),
        (float("inf"), NUMBER, "the content must be a number, got inf"),
        (float("nan"), NUMBER, "the content must be a number, got nan"),
        (None, OrNull(NUMBER), ""),
        ("x", OrNull(NUMBER), "the content must be a number or null, got 'x'"),
        (1, FLAG, "the content must be true or false, got 1"),
        ("2026-01-31T12:00:00+00:00", TIME, ""),
        ("2026-01-31T12:00:00", TIME, f"the content must be {TIME.name}, got '2026-01-31T12:00:00'"),
        ([1, "a"], ListOf(WHOLE), "`[1]` must be a whole number of 64 bits, got 'a'"),
        ({"a": {"b": [0]}}, MapOf(MapOf(ListOf(TEXT))), "`a.b[0]` must be a text, got 0"),
        ({}, Record(required={"a": ANY}), "`a` is missing"),
        ({"a": []}, Record(optional={"a": OrNull(MapOf(NUMBER))}), "`a` must be an object or null, got a list"),
        ({"other": 1}, Record(optional={"a": TEXT}), ""),
        ([], Record(), "the content must be an object, got a list"),
    ],
)
def test_first_departure_is_told_with_place_rule_and_value(value: Any, shape: Shape, wrong: str) -> None:
    assert mismatch(value, shape) == wrong


def test_depth_is_bounded_however_deep_it_is(tmp_path: Path) -> None:
    value: Any = 0
    for _ in range(MAX_DEPTH):
        value = [value]
    assert not is_too_deep(value)
    assert is_too_deep([value])
    for depth in (MAX_DEPTH + 1, 3_000, 200_000):
        (tmp_path / "meta.json").write_text("[" * depth + "]" * depth)
        with pytest.raises(DlexpError) as caught:
            read_json(tmp_path / "meta.json")
        refused(caught.value, "corrupted", "meta.json")
        assert str(MAX_DEPTH) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("meta.json", {"notes": [1]}, "`notes[0]` must be a text, got 1"),
        ("summary.json", {"best": [0.1]}, "`best` must be an object or null, got a list"),
        ("summary.json", {"seconds": None}, "`seconds` must be a number, got null"),
        ("status.json", {"state": "running", "epoch": "1", "epochs": 2}, "`epoch` must be a whole number"),
        ("preprocessing.json", {"spec": []}, "`spec` must be an object, got a list"),
        (
            "preprocessing.json",
            {"preprocess": {"kind": "affine", "scale": 1, "shift": 1}},
            "`preprocess.scale` must be an object, got 1",
        ),
        ("report.json", {"metrics": {"loss": "low"}}, "`metrics.loss` must be a number or null, got 'low'"),
        ("crash.json", [], "the content must be an object, got a list"),
        ("hashes.json", {"last.pt": "abc"}, "`last.pt` must be a list, got 'abc'"),
        ("jobs.json", {"overrides": [], "jobs": [1]}, "`jobs[0]` must be an object, got 1"),
        ("study.json", {"best": {"value": None}}, "`best.value` must be a number, got null"),
        ("lr_find.json", {"suggestion": {}}, "`suggestion` must be a number or null, got an object"),
        ("result.json", {}, "`value` is missing"),
    ],
)
def test_file_of_a_run_is_named_with_the_key(tmp_path: Path, name: str, content: Any, wrong: str) -> None:
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(DlexpError) as caught:
        read_run_file(tmp_path / name)
    refused(caught.value, "corrupted", wrong)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_what_a_caller_needs_is_asked_for_beyond_the_types(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text("{}")
    assert read_run_file(tmp_path / "meta.json") == {}
    with pytest.raises(DlexpError) as caught:
        read_run_file(tmp_path / "meta.json", needs=OF_A_RUN)
    refused(caught.value, "corrupted", "`started`")
    with pytest.raises(DlexpError) as caught:
        read_run_file(tmp_path / "meta.json", needs=with_keys("parameters"))
    refused(caught.value, "corrupted", "`parameters`")
    assert set(SHAPES) >= {"meta.json", "status.json", "summary.json", "report.json", "study.json", "jobs.json"}
