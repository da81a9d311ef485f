from __future__ import annotations

from typing import Any

import pytest
from refusals import refused

from dlexp.config.files.interpolation import check_references, reads_environment
from dlexp.errors import ConfigError


def chain(links: int, width: int) -> dict[str, Any]:
    """a0 is a word, and each value after it names the one before `width` times."""
    return {"a0": "x" * 10} | {f"a{n + 1}": f"${{a{n}}}" * width for n in range(links)}


@pytest.mark.parametrize("raw", [chain(30, 1), chain(3, 10), {"a": {"b": "${.c}", "c": 1}}, {"a": [1, "${a[0]}"]}])
def test_ordinary_references_pass(raw: dict[str, Any]) -> None:
    check_references(raw)


@pytest.mark.parametrize(
    "raw",
    [
        chain(7, 10),
        chain(60, 2),
        {"a0": "x"} | {f"a{n + 1}": {"l": f"${{a{n}}}", "r": f"${{a{n}}}"} for n in range(60)},
        {"a0": "x"} | {f"a{n + 1}": [f"${{a{n}}}"] * 10 for n in range(9)},
    ],
)
def test_references_that_explode_are_refused_before_they_are_followed(raw: dict[str, Any]) -> None:  # R14
    with pytest.raises(ConfigError) as caught:
        check_references(raw)
    refused(caught.value, "too-large")


@pytest.mark.parametrize(
    "raw",
    [{"a": "${a}"}, {"a": "${b}", "b": "x${a}"}, {"a": {"b": "${a}"}}, {"a": {"b": "${..a}"}}, {"a": ["${a}"]}],
)
def test_circles_are_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        check_references(raw)
    refused(caught.value, "invalid-value", "a")


@pytest.mark.parametrize(
    "text", ["${now:%Y}", "${oc.decode:'${b}'}", "${oc.select:b}", "${a.${b}}", "${oc.env:${b}}", "${b", "${hydra:x}"]
)
def test_only_plain_references_and_the_environment_are_resolved(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_references({"x": text, "b": "c", "a": {"c": 1}})
    refused(caught.value, "not-supported", "x")


def test_detour_over_another_reference_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        check_references({"a": "${b.k}", "b": "${c}", "c": {"k": 1}})
    refused(caught.value, "not-supported", "a")


def test_environment_with_a_default_need_not_be_set() -> None:
    check_references({"a": "${oc.env:DLEXP_NOPE,x}", "b": "${oc.decode:${oc.env:DLEXP_NOPE,3}}"})
    with pytest.raises(ConfigError) as caught:
        check_references({"a": "${ oc.env: DLEXP_NOPE }"})
    refused(caught.value, "missing-value", "a", "DLEXP_NOPE=")


@pytest.mark.parametrize(
    ("text", "reads"), [("${oc.env:X}", True), ("a${ oc.env : X,y}b", True), ("${x}", False), ("oc.env:X", False)]
)
def test_environment_is_seen_however_it_is_written(text: str, reads: bool) -> None:
    assert reads_environment(text) is reads
