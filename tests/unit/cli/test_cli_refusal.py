"""Errors on a terminal: rules break between words, remedies are left whole to be copied."""

from __future__ import annotations

import sys

import pytest

from dlexp.cli.errors import show_error
from dlexp.errors import ConfigError

RULE = "is no option of model; it has " + ", ".join(f"network_number_{n}" for n in range(12))
REMEDY = "dlexp train --resume outputs/train/20260101-000000-a-long-name-of-a-run-that-does-not-fit-in-one-line"


def error_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> list[str]:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    show_error(ConfigError.one("model", "x", RULE, REMEDY, code="invalid-value"), as_json=False)
    return capsys.readouterr().err.splitlines()


def test_a_rule_breaks_between_words_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    *rule, remedy = error_lines(capsys, monkeypatch, terminal=True)[3:]
    assert len(rule) > 3
    assert max(map(len, rule)) <= 60
    assert all(line.startswith("    ") for line in rule)
    assert " ".join(line.strip() for line in rule) == RULE
    assert remedy == f"    {REMEDY}"


def test_a_file_gets_a_rule_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert error_lines(capsys, monkeypatch, terminal=False)[2:] == ["  model=x", f"    {RULE}", f"    {REMEDY}"]
