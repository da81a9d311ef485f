from __future__ import annotations

from typing import Any

import pytest

from dlexp.config.schema.fields import Field, inferred

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("field", "accepted", "refused"),
    [
        (Field("int", minimum=1), [1, 7], [0, 1.0, True, "1", None, NAN, [1]]),
        (Field("float", above=0, maximum=1), [1, 0.5, 1e-9], [0, 1.1, NAN, INF, -INF, True, "0.5"]),
        (Field("float", minimum=0, below=1), [0, 0.999], [1, -1e-9, NAN]),
        (Field("float"), [-1e300, 0], [NAN, INF, -INF]),
        (Field("float", above=0, words=("auto",)), [0.1, "auto"], [0, "Auto", "0.1", None, ["auto"]]),
        (Field("bool"), [True, False], [0, 1, "true", None]),
        (Field("str"), ["", "x"], [1, None, ["x"]]),
        (Field("path", nullable=True), ["a/b", None], [1]),
        (Field("str", choices=("a", "b")), ["a"], ["c", 1, None]),
        (Field("list[int]", minimum=1), [[], [1, 2], (3,)], [[0], [1.5], [True], 3, "12", None]),
        (Field("list[float]", minimum=0, below=1), [[0.9, 0.999]], [[NAN], [1.0], [0.5, INF]]),
        (Field("list[str]", nullable=True), [["a"], None], [[1], "a"]),
    ],
)
def test_rule_accepts_exactly_what_it_says(field: Field, accepted: list[Any], refused: list[Any]) -> None:
    assert [value for value in accepted if not field.accepts(value)] == []
    assert [value for value in refused if field.accepts(value)] == []


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        (Field("int", minimum=1), 0, "out-of-range"),
        (Field("int", minimum=1), 2**63, "out-of-range"),
        (Field("int", minimum=1), "1", "invalid-type"),
        (Field("int", minimum=1), True, "invalid-type"),
        (Field("bool"), 1, "invalid-type"),
        (Field("float"), NAN, "out-of-range"),
        (Field("float", words=("auto",)), "Auto", "invalid-type"),
        (Field("str", choices=("a", "b")), "c", "unknown-value"),
        (Field("str", choices=("a", "b")), None, "invalid-type"),
        (Field("list[int]", minimum=1), [2, 0], "out-of-range"),
        (Field("list[int]", minimum=1), [2, "a"], "invalid-type"),
        (Field("list[int]", minimum=1), 3, "invalid-type"),
        (Field("list[int]", minimum=1, or_one=True), 0, "out-of-range"),
        (Field("list[str]", choices=("a",)), ["b"], "unknown-value"),
    ],
)
def test_refused_value_has_the_code_of_its_mistake(field: Field, value: object, code: str) -> None:
    assert not field.accepts(value)
    assert field.code_of(value) == code


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        (Field("float", above=0), "a number > 0"),
        (Field("float", above=0, words=("auto",), nullable=True), "a number > 0, or auto or null"),
        (Field("int", minimum=1, nullable=True), "a whole number >= 1 or null"),
        (Field("float", minimum=0, below=1), "a number >= 0 and < 1"),
        (Field("list[int]", minimum=1), "a list of whole numbers, each >= 1"),
        (Field("str", choices=("a", True)), "one of a, true"),
        (Field("list[str]"), "a list of strings"),
        (Field("bool"), "true or false"),
    ],
)
def test_rule_reads_as_words(field: Field, rule: str) -> None:
    assert field.rule == rule


def test_mapping_uses_the_words_of_the_file() -> None:
    field = Field.from_mapping({"type": "float", "min": 0, "max": 1, "choices": [0.5], "help": "x"})
    assert field == Field("float", "x", choices=(0.5,), minimum=0, maximum=1)


@pytest.mark.parametrize(
    "entry",
    [
        {"typ": "int"},
        {"type": "integer"},
        {"type": "list[bool]"},
        {"type": "list[list[int]]"},
        {"type": "float", "min": "1e-3"},  # what yaml.safe_load makes of min: 1e-3
        {"type": "int", "min": True},
        {},
    ],
)
def test_mapping_that_is_no_rule_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Field.from_mapping(entry)


@pytest.mark.parametrize(
    ("value", "type_name"), [(True, "bool"), (3, "int"), (0.5, "float"), ("x", "str"), (None, None), ([1], None)]
)
def test_type_is_inferred_from_a_default(value: object, type_name: str | None) -> None:
    field = inferred(value)
    assert (field.type if field else None) == type_name
