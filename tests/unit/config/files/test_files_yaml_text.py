"""YAML text that OmegaConf reads back as what was written."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from dlexp.config.files.yaml_text import yaml_text

TEXTS = (
    *(
        "1e-3",
        "+1",
        ".5",
        "5.",
        "0x1f",
        "0o7",
        "1_000",
        "1:30",
        "2020-01-01",
        "nan",
        ".inf",
        "null",
        "~",
        "",
        "=",
        "<<",
    ),
    *("yes", "Off", "TRUE", "y", "${oc.env:HOME}", "é𝄞", "a: b", "# c", "- d", "line\nbreak", "x" * 200, " lead "),
    *("!x", "*a", "&b", "%", "@", "it's", '"', "\t", "{", "[]", "1e5", "é"),
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_string_stays_a_string(text: str) -> None:
    read = OmegaConf.to_container(OmegaConf.create(yaml_text({"key": [text]})), resolve=False)
    assert read == {"key": [text]}


def test_other_values_are_read_as_they_were() -> None:
    given = {"b": [1e-7, 1e22, 0.1, 10**20], "a": {"none": None, "true": True, "inf": float("inf")}, "c": {}, "d": []}
    read = OmegaConf.to_container(OmegaConf.create(yaml_text(given)), resolve=False)
    assert read == given
    assert list(given) == list(read)


def test_what_occurs_twice_is_written_twice() -> None:
    shared = ["a"]
    assert yaml_text({"x": shared, "z": shared}) == "x:\n- a\nz:\n- a\n"
